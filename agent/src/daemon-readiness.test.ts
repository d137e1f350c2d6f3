import { expect, test } from "vitest";
import { Readiness } from "./daemon-readiness.ts";

test("an agent on its state file serves before it is ready, and each change is told once", () => {
  const told: string[] = [];
  const readiness = new Readiness((ready) => told.push(`ready ${ready}`));
  readiness.tellServing((serving) => told.push(`serving ${serving}`));
  readiness.set("lease unconfirmed", true);
  readiness.set("starting", false);
  expect([readiness.isReady, readiness.serves]).toEqual([false, true]);
  readiness.set("lease missing", true);
  readiness.set("lease unconfirmed", false);
  expect([readiness.isReady, readiness.serves]).toEqual([false, false]);
  readiness.set("lease missing", false);
  readiness.set("lease unconfirmed", true);
  expect(told).toEqual(["serving true", "serving false", "ready true", "ready false"]);
});
