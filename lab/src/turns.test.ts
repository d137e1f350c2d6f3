import { expect, test } from "vitest";
import { Turns } from "./turns.ts";

test("whoever asks waits until those before have ended, in the order in which they asked", async () => {
  const turns = new Turns();
  const heard: string[] = [];
  const endFirst = await turns.take();
  const others = ["second", "third"].map(async (name) => {
    const end = await turns.take();
    heard.push(`${name} begins`);
    await Promise.resolve();
    heard.push(`${name} ends`);
    end();
  });
  heard.push("first ends");
  endFirst();
  endFirst();
  await Promise.all(others);
  expect(heard).toEqual([
    "first ends",
    "second begins",
    "second ends",
    "third begins",
    "third ends",
  ]);
});
