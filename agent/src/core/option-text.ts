/** An option as it stood on the command line, on one line whatever is in it. */
export function formatOption(name: string, value: string): string {
  const shown = value.replaceAll(
    /[\p{Cc}\u2028\u2029]/gu,
    (letter) => `\\x${letter.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return `--${name}=${shown}`;
}
