import { LabError } from "./errors.ts";

const WORD_PART = /"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)|([^\s"'\\]+)|(\s+)/gsu;

/** Means nothing but itself in any place of a command line. */
const PLAIN_WORD = /^[\w./:@%+,-]+$/u;

/**
 * Splits a command line into words as sh(1) does: blanks separate, quotes and backslashes protect. Nothing is expanded.
 * @throws LabError "usage" for a quote that is not closed
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let end = 0;
  for (const match of text.matchAll(WORD_PART)) {
    if (match.index !== end) {
      break;
    }
    end += match[0].length;
    const [, double, single, escaped, plain, blank] = match;
    if (blank === undefined) {
      word =
        (word ?? "") +
        (double?.replaceAll(/\\(["\\$`])/gu, "$1") ?? single ?? escaped ?? plain ?? "");
    } else if (word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  if (end !== text.length) {
    throw new LabError("usage", `a quote or backslash is not closed in: ${text}`);
  }
  return word === undefined ? words : [...words, word];
}

/** A command line that sh(1), and `splitWords`, take for these words. */
export function joinWords(words: readonly string[]): string {
  return words
    .map((word) => (PLAIN_WORD.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`))
    .join(" ");
}
