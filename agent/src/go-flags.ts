/** The syntax of Go's flag package, which the reference's users write. Source: spec 01 section 1.1. */
import { AgentError } from "./core/errors.ts";

interface Flag {
  readonly name: string;
  readonly type: "string" | "boolean" | "integer" | "list";
}

interface GivenFlags {
  /** Every value of a flag in the order given. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly help: boolean;
  /** The words after the first that is no flag; Go's parser stops there. */
  readonly ignored: readonly string[];
}

/** @throws AgentError "options-invalid" */
export function parseGoFlags(words: readonly string[], flags: readonly Flag[]): GivenFlags {
  const values = new Map<string, string[]>();
  let index = 0;
  for (; index < words.length; index++) {
    const word = words[index] ?? "";
    if (word === "--") {
      index++;
      break;
    }
    if (!/^--?[^-]/.test(word)) break;
    const body = word.replace(/^--?/, "");
    const equals = body.indexOf("=");
    const name = equals === -1 ? body : body.slice(0, equals);
    if (name === "") throw new AgentError("options-invalid", `bad flag syntax: ${word}`);
    const flag = flags.find((candidate) => candidate.name === name);
    if (flag === undefined) {
      if (name === "h" || name === "help") return { values, help: true, ignored: [] };
      throw new AgentError("options-invalid", `flag provided but not defined: -${name}`);
    }
    let value = equals === -1 ? undefined : body.slice(equals + 1);
    if (value === undefined && flag.type === "boolean") value = "true";
    if (value === undefined) value = words[++index];
    if (value === undefined)
      throw new AgentError("options-invalid", `flag needs an argument: -${name}`);
    checkValue(flag, value);
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  return { values, help: false, ignored: words.slice(index) };
}

function checkValue(flag: Flag, value: string): void {
  const bad =
    (flag.type === "integer" && parseGoInteger(value) === undefined) ||
    (flag.type === "boolean" && !isGoBoolean(value));
  if (bad)
    throw new AgentError(
      "options-invalid",
      `invalid value ${JSON.stringify(value)} for flag -${flag.name}: parse error`,
    );
}

export function isGoBoolean(text: string): boolean {
  return parseGoBoolean(text) || /^(0|f|F|FALSE|false|False)$/.test(text);
}

export function parseGoBoolean(text: string): boolean {
  return /^(1|t|T|TRUE|true|True)$/.test(text);
}

/** Decimal, `0x`, `0o` or leading `0`, `0b`, with `_` between digits; undefined for anything else. */
export function parseGoInteger(text: string): number | undefined {
  const match = /^([+-]?)(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|0|[1-9][0-9_]*)$/.exec(text);
  const digits = match?.[2];
  if (match === null || digits === undefined || /__|_$/.test(digits)) return undefined;
  const plain = digits.replaceAll("_", "").replace(/^0(?=[0-7])/, "0o");
  const value = Number(plain);
  return Number.isSafeInteger(value) ? (match[1] === "-" ? -value : value) : undefined;
}
