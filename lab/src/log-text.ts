/** The last lines of a log, without the empty one at its end. */
export function lastLines(text: string, count: number): string[] {
  const all = text.split("\n");
  if (all.at(-1) === "") {
    all.pop();
  }
  return count <= 0 ? [] : all.slice(-count);
}
