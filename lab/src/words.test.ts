import { describe, expect, it } from "vitest";
import { splitWords } from "./words.ts";

describe("splitting a command line", () => {
  it.each([
    ["", []],
    ["  ", []],
    ["node agent/src/main.ts", ["node", "agent/src/main.ts"]],
    ["  a\tb\n c ", ["a", "b", "c"]],
    [`a "b c" 'd "e'`, ["a", "b c", 'd "e']],
    [`x"y z"'w' v`, ["xy zw", "v"]],
    [`a "" ''`, ["a", "", ""]],
    [String.raw`a\ b "c\"d" "e\nf" 'g\'`, ["a b", 'c"d', String.raw`e\nf`, "g\\"]],
    ["$HOME *", ["$HOME", "*"]],
  ])("reads %j", (text, words) => {
    expect(splitWords(text)).toEqual(words);
  });

  it.each([`a "b`, `a 'b`, "a \\", `"a\\"`])("refuses %j", (text) => {
    expect(() => splitWords(text)).toThrow("not closed");
  });
});
