/** A longer value is no slip of the hand, and would hide what is said about it. */
const MAX_SHOWN = 200;

/** An option as it stood on the command line, on one line whatever is in it. */
export function formatOption(name: string, value: string): string {
  return `--${name}=${escapeText(cutShort(value))}`;
}

/** In quotes, on one line, and no longer than a reader looks. */
export function quoteText(text: string): string {
  return `"${escapeText(cutShort(text).replaceAll(/["\\]/g, String.raw`\$&`))}"`;
}

/** Without anything that could begin a line or speak to a terminal. */
export function escapeText(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\u2028\u2029]/gu,
    (letter) => `\\x${letter.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

function cutShort(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
