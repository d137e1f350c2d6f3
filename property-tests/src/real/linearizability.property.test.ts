import * as fc from "fast-check";
import { expect, test } from "vitest";
import { checkLinearizable, type Operation } from "./linearizability.ts";

/** `a acquire 1-3 done`: owner, action, times of call and answer, outcome; all of one key unless named before a colon. */
function history(...lines: readonly string[]): Operation[] {
  return lines.map((line) => {
    const match = /^(?:(\w+): )?(\w+) (\w+) (\d+)-(\d+) (\w+)$/.exec(line);
    if (match === null) throw new Error(`cannot read ${line}`);
    const [, key = "k", owner = "", action, called, answered, outcome] = match;
    return {
      key,
      owner,
      action: action as Operation["action"],
      calledAt: Number(called),
      answeredAt: Number(answered),
      outcome: outcome as Operation["outcome"],
    };
  });
}

test.each([
  ["one after the other", ["a acquire 1-2 done", "a renew 3-4 done", "a release 5-6 done"]],
  ["a race that one wins", ["a acquire 1-4 done", "b acquire 2-3 refused"]],
  ["a hand-over", ["a acquire 1-2 done", "a release 3-6 done", "b acquire 4-5 done"]],
  ["a lost reply that took effect", ["a acquire 1-9 unknown", "b acquire 2-3 refused"]],
  ["a lost reply that did not", ["a acquire 1-2 unknown", "b acquire 3-4 done"]],
  [
    "a lost release that came late",
    ["a acquire 1-2 done", "a release 3-4 unknown", "a renew 5-6 done", "b acquire 7-8 done"],
  ],
  ["a release nobody needed", ["a acquire 1-2 done", "b release 3-4 refused"]],
  ["two keys, two owners", ["x: a acquire 1-2 done", "y: b acquire 1-2 done"]],
])("A6: legal: %s", (_title, lines) => {
  expect(checkLinearizable(history(...lines))).toEqual({ linearizable: true });
});

test.each([
  ["two owners", ["a acquire 1-2 done", "b acquire 3-4 done"]],
  ["two winners of a race", ["a acquire 1-4 done", "b acquire 2-3 done"]],
  [
    "renewed after it was released",
    ["a acquire 1-2 done", "a release 3-4 done", "a renew 5-6 done"],
  ],
  ["another owner's key renewed", ["a acquire 1-2 done", "b renew 3-4 done"]],
  ["refused though free", ["a acquire 1-2 done", "a release 3-4 done", "b acquire 5-6 refused"]],
  ["a free key renewed", ["a renew 1-2 done"]],
  ["refused before the lost one was asked", ["b acquire 1-2 refused", "a acquire 3-4 unknown"]],
  [
    "taken back after a lost release was seen",
    ["a acquire 1-2 done", "a release 3-4 unknown", "b acquire 5-6 done", "a renew 7-8 done"],
  ],
])("A6: illegal: %s", (_title, lines) => {
  const legal = history("other: c acquire 1-2 done");
  expect(checkLinearizable([...legal, ...history(...lines)])).toEqual({
    linearizable: false,
    key: "k",
  });
});

test("A6: whatever a register did, seen with any delay and with replies lost, is legal", () => {
  const call = fc.record({
    owner: fc.constantFrom("a", "b", "c"),
    action: fc.constantFrom("acquire", "renew", "release"),
    before: fc.integer({ min: 0, max: 3 }),
    after: fc.integer({ min: 0, max: 3 }),
    lost: fc.boolean(),
    carriedOut: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 12 }), (calls) => {
      let register: string | undefined;
      const seen = calls.map(({ owner, action, before, after, lost, carriedOut }, at) => {
        const may = action === "acquire" ? register === undefined : register === owner;
        if (may && (!lost || carriedOut)) register = action === "release" ? undefined : owner;
        const outcome = lost ? "unknown" : may ? "done" : "refused";
        const [calledAt, answeredAt] = [10 * at - 10 * before, 10 * at + 10 * after + 1];
        return { key: "k", owner, action, calledAt, answeredAt, outcome } as const;
      });
      expect(checkLinearizable(seen)).toEqual({ linearizable: true });
    }),
  );
});
