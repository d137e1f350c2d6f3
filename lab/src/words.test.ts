import { describe, expect, it } from "vitest";
import { joinWords, splitWords } from "./words.ts";

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

describe("joining words", () => {
  it("quotes those that need it, so that the same words come out again", () => {
    const words = [
      "run",
      "--flanneld",
      "n*=node 'a b'",
      "$HOME",
      "",
      "x/y.ts",
      `"`,
      "\\",
      "a\nb",
      "~",
    ];
    const text = joinWords(words);
    expect(text).toBe(String.raw`run --flanneld 'n*=node '\''a b'\''' '$HOME' '' x/y.ts '"' '\' 'a
b' '~'`);
    expect(splitWords(text)).toEqual(words);
  });
});
