const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Longer texts are cut in reports; the event log keeps them whole. */
const MAX_TEXT = 2000;

/**
 * Any text as content or attribute value of XML and HTML. Characters that XML 1.0 has no way to write, and those that a
 * terminal or a reader of bidirectional text would act on, are spelt out: `\u{1b}`. Source: XML 1.0 section 2.2.
 */
export function escapeMarkup(text: string): string {
  return spellOut(text.toWellFormed()).replaceAll(/[&<>"']/g, (found) => ENTITIES[found] ?? found);
}

/** As `escapeMarkup`, and no longer than a reader wants. */
export function escapeCut(text: string): string {
  const rest = text.length - MAX_TEXT;
  return rest > 0 ? `${escapeMarkup(text.slice(0, MAX_TEXT))}… (${rest} more)` : escapeMarkup(text);
}

/** Text that cannot steer a terminal: one line, control characters spelt out. */
export function plainLine(text: string): string {
  return spellOut(text.toWellFormed()).replaceAll(/[\n\t]/g, " ");
}

/** C0, DEL and C1, bidirectional controls, noncharacters. */
const UNWRITABLE = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/gu;
const KEPT: ReadonlySet<string> = new Set(["\n", "\t"]);

function spellOut(text: string): string {
  return text.replaceAll(UNWRITABLE, (found) =>
    KEPT.has(found) ? found : `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
