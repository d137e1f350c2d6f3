import { expect } from "vitest";

/** What neither a terminal nor an XML parser may see: controls but newline and tab, bidirectional overrides, half characters. */
export const UNWRITABLE: RegExp = /[^\P{Cc}\n\t]|[\u202a-\u202e]|\p{Cs}/u;

/** Every tag is closed in its turn, every attribute quoted, every ampersand an entity. */
export function expectWellFormed(text: string): void {
  const open: string[] = [];
  let rest = text.replace(/^<\?xml[^>]*\?>\s*/, "");
  while (rest !== "") {
    const found =
      /^(?:(?<text>(?:[^<>&]|&(?:amp|lt|gt|quot|#\d+);)+)|<\/(?<end>[\w-]+)>|<(?<start>[\w-]+)(?:\s+[\w:-]+="[^"<]*")*\s*(?<empty>\/?)>)/.exec(
        rest,
      );
    expect(found, `cannot read ${rest.slice(0, 80)}`).not.toBeNull();
    const { start, end, empty } = found?.groups ?? {};
    const closed = end === undefined ? undefined : open.pop();
    expect(closed).toBe(end);
    if (start !== undefined && empty === "") {
      open.push(start);
    }
    rest = rest.slice(found?.[0].length ?? rest.length);
  }
  expect(open).toEqual([]);
}
