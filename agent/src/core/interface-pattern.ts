import { AgentError } from "./errors.ts";
import { formatOption } from "./option-text.ts";

/** What stays special behind a backslash in JavaScript's strict mode; RE2 lets any other mark be escaped too. */
const SYNTAX_MARKS = "^$\\.*+?()[]{}|/";

/**
 * Reads an `iface-regex` expression, written for RE2. What JavaScript writes differently is translated; what it lacks
 * is refused, never read as something else (the `u` flag sees to that). Expressions run over names and addresses only,
 * so that backtracking stays short.
 * @throws AgentError "options-invalid"
 * Source: github.com/google/re2/wiki/Syntax
 */
export function parseInterfacePattern(expression: string): RegExp {
  const [, flags = "", body = expression] = /^\(\?([ims]+)\)(.*)$/s.exec(expression) ?? [];
  const source = body.replaceAll(/\\(.)|\(\?P</gs, (token: string, letter?: string) => {
    if (letter === undefined) return "(?<";
    if (letter === "A") return "^";
    if (letter === "z") return "$";
    const isMark = /^[!-/:-@[-`{-~]$/.test(letter) && !SYNTAX_MARKS.includes(letter);
    return isMark ? `\\x${letter.charCodeAt(0).toString(16)}` : token;
  });
  try {
    return new RegExp(source, `u${[...new Set(flags.split(""))].join("")}`);
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split(": ").at(-1) ?? "") : "";
    throw new AgentError(
      "options-invalid",
      `${formatOption("iface-regex", expression)}: not a regular expression: ${reason}`,
      { cause },
    );
  }
}
