/** The syntax of Go's flag package, which the reference's users write. Source: spec 01 section 1.1, pkg.go.dev/flag. */
import { AgentError } from "./core/errors.ts";
import { escapeText, quoteText } from "./core/option-text.ts";

/** Go's string, bool and int, and a flag that may be repeated. */
export type FlagType = "string" | "boolean" | "integer" | "list";

interface Flag {
  readonly name: string;
  readonly type: FlagType;
}

export interface GivenFlags {
  /** Every value of a flag in the order given. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly help: boolean;
  /** The words after the first that is no flag; Go's parser stops there. */
  readonly ignored: readonly string[];
}

/** @throws AgentError "flags-unreadable" */
export function parseGoFlags(words: readonly string[], flags: readonly Flag[]): GivenFlags {
  const values = new Map<string, string[]>();
  let index = 0;
  for (; index < words.length; index++) {
    const word = words[index] ?? "";
    if (word === "--") {
      index++;
      break;
    }
    if (word.length < 2 || !word.startsWith("-")) break;
    const [, name = "", value] = /^--?([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    // What stands behind the sign may be a secret.
    if (name === "" || name.startsWith("-"))
      throw unreadable(`bad flag syntax: ${escapeText(word.replace(/=.+$/s, "=…"))}`);
    const flag = flags.find((candidate) => candidate.name === name);
    if (flag === undefined) {
      if (name === "h" || name === "help") return { values, help: true, ignored: [] };
      throw unreadable(`flag provided but not defined: -${escapeText(name)}`);
    }
    const text = value ?? (flag.type === "boolean" ? "true" : words[++index]);
    if (text === undefined) throw unreadable(`flag needs an argument: -${name}`);
    const problem = findProblem(flag.type, text);
    if (problem !== undefined) {
      const shown = quoteText(text);
      throw unreadable(
        flag.type === "boolean"
          ? `invalid boolean value ${shown} for -${name}: ${problem}`
          : `invalid value ${shown} for flag -${name}: ${problem}`,
      );
    }
    values.set(flag.name, [...(values.get(flag.name) ?? []), text]);
  }
  return { values, help: false, ignored: words.slice(index) };
}

/** What Go says of a text that is no value of the type. */
export function findProblem(type: FlagType, text: string): string | undefined {
  if (type === "boolean") return isGoBoolean(text) ? undefined : "parse error";
  if (type !== "integer" || parseGoInteger(text) !== undefined) return undefined;
  return readInteger(text) === undefined ? "parse error" : "value out of range";
}

function unreadable(message: string): AgentError {
  return new AgentError("flags-unreadable", message);
}

export function isGoBoolean(text: string): boolean {
  return parseGoBoolean(text) || /^(0|f|F|FALSE|false|False)$/.test(text);
}

export function parseGoBoolean(text: string): boolean {
  return /^(1|t|T|TRUE|true|True)$/.test(text);
}

/** Decimal, `0x`, `0o` or leading `0`, `0b`, with `_` between digits; undefined for anything else and beyond 2⁵³. */
export function parseGoInteger(text: string): number | undefined {
  const value = readInteger(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

function readInteger(text: string): number | undefined {
  const match = /^([+-]?)(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|0|[1-9][0-9_]*)$/.exec(text);
  const digits = match?.[2];
  if (match === null || digits === undefined || /__|_$/.test(digits)) return undefined;
  const value = Number(digits.replaceAll("_", "").replace(/^0(?=[0-7])/, "0o"));
  return match[1] === "-" ? 0 - value : value;
}
