import { describe, expect, it } from "vitest";
import type { Command } from "./command.ts";
import { formatHelp, parseFlags } from "./flags.ts";
import { COMMANDS } from "./registry.ts";

const SAMPLE: Command = {
  name: "sample",
  usage: "[FLAGS]",
  summary: "Does nothing.",
  flags: {
    size: { type: "string", value: "N", help: "how big" },
    word: { type: "string", multiple: true, value: "W", help: "a word" },
    json: { type: "boolean", help: "as JSON" },
  },
  run: () => Promise.resolve(0),
};
const parse = (...argv: string[]): ReturnType<typeof parseFlags> =>
  parseFlags(SAMPLE, argv, { maxPositionals: 1 });

describe("flags", () => {
  it("are read in both forms, repeated ones in order", () => {
    const flags = parse("--size=7", "--word", "a", "x", "--json", "--word=b");
    expect(flags.number("size")).toBe(7);
    expect(flags.texts("word")).toEqual(["a", "b"]);
    expect(flags.isOn("json")).toBe(true);
    expect(flags.positionals).toEqual(["x"]);
  });

  it("are absent without being false words", () => {
    const flags = parse();
    expect([
      flags.number("size"),
      flags.text("size"),
      flags.texts("word"),
      flags.isOn("json"),
    ]).toEqual([undefined, undefined, [], false]);
  });

  it.each([
    [["--sise", "7"], "lab sample: unknown flag --sise; known are --size --word --json --help"],
    [["-s"], "lab sample: unknown flag -s; known are --size --word --json --help"],
    [["--size"], "lab sample: Option '--size <value>' argument missing"],
    [["--json=yes"], "lab sample: Option '--json' does not take an argument"],
    [["a", "b"], 'lab sample: what is "b" for? See lab sample --help'],
  ])("%j gives one line", (argv, message) => {
    expect(() => parse(...argv)).toThrow(expect.objectContaining({ code: "usage", message }));
  });

  it.each(["x", "-1", "1.5", "0x10", "", "12345678901"])("%j is no number", (value) => {
    expect(() => parse(`--size=${value}`).number("size")).toThrow("--size wants a whole number");
  });

  it("are listed in the help", () => {
    expect(formatHelp(SAMPLE)).toBe(
      "lab sample [FLAGS]\nDoes nothing.\n\n  --size N  how big\n  --word W  a word\n  --json    as JSON\n",
    );
  });
});

describe("every verb", () => {
  it.each(Object.entries(COMMANDS))("%s is registered under its own name", async (name, load) => {
    expect((await load()).name).toBe(name);
  });
});
