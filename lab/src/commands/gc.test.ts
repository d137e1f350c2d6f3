import { expect, it } from "vitest";
import { type Collected, formatCollected } from "./gc.ts";

const lab = (name: string, more: Pick<Collected, "fate" | "outcome" | "why">): Collected => ({
  path: `/labs/${name}`,
  ...more,
});
const RUNNING = lab("default", { fate: "alive", outcome: "left alone", why: "it runs" });

it("says what was removed, what was not, and why", () => {
  const collected = [
    RUNNING,
    lab("gone", { fate: "dead", outcome: "removed", why: "process 7 is gone" }),
    lab("later", { fate: "dead", outcome: "would be removed", why: "process 8 is gone" }),
    lab("taken", { fate: "dead", outcome: "left alone", why: "process 9 is gone" }),
    lab("odd", { fate: "unclear", outcome: "left alone", why: "it has no lab.json" }),
  ];
  expect(formatCollected("/labs", collected)).toMatchInlineSnapshot(`
    "✓ gone   removed           process 7 is gone
    - later  would be removed  process 8 is gone
    - taken  left alone        process 9 is gone
    ? odd    left alone        it has no lab.json
    "
  `);
});

it.each([
  [[], "no dead lab is in /labs\n"],
  [[RUNNING, RUNNING], "no dead lab is in /labs; 2 running\n"],
])("says that there is nothing: %#", (collected, text) => {
  expect(formatCollected("/labs", collected)).toBe(text);
});
