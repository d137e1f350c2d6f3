import { expect, test } from "vitest";
import { NAMED_MUTATIONS } from "./named-mutations.ts";

test("every mutation has a name of its own that is one word of a command line", () => {
  const names = NAMED_MUTATIONS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name))).toEqual([]);
  expect(names).toContain("writes-subnet-env-once");
});
