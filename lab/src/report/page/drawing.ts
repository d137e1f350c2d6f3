import { escapeMarkup } from "../markup.ts";

/** Columns of a drawing over time: names to the left, time to the right. Units of the view box. */
export const NAMES_WIDTH = 230;
const TIME_WIDTH = 950;
const RIGHT_MARGIN = 20;
const WIDTH: number = NAMES_WIDTH + TIME_WIDTH + RIGHT_MARGIN;
const AXIS_HEIGHT = 24;
export const ROW_HEIGHT = 22;
const BAR_HEIGHT = 14;
const BAR_MIN_WIDTH = 2;
const TICKS = 6;
/** Names are cut to what fits beside the bars. */
const NAME_CHARACTERS = 34;

/** Bars so dark, or so light, that the ink on them is the paper's colour. */
const ON_SOLID: ReadonlySet<Bar["kind"]> = new Set(["pass", "fail", "unknown", "fault"]);

export interface Bar {
  readonly beginMs: number;
  readonly endMs: number;
  readonly kind: "pass" | "fail" | "unknown" | "fault" | "lease" | "up";
  /** Shown by a pointer resting on it, and read out. */
  readonly title: string;
  /** Written on it when it is wide enough. */
  readonly label?: string;
}

export interface Row {
  readonly name: string;
  readonly bars: readonly Bar[];
}

export interface Moment {
  readonly atMs: number;
  readonly label: string;
  readonly title: string;
}

/** Rows of bars over the time of a run, with moments marked across all rows. */
export function drawRows(
  label: string,
  endMs: number,
  rows: readonly Row[],
  moments: readonly Moment[] = [],
): string {
  const x = (ms: number): number => NAMES_WIDTH + (TIME_WIDTH * Math.min(ms, endMs)) / (endMs || 1);
  const top = moments.length > 0 ? ROW_HEIGHT : 4;
  const bottom = top + rows.length * ROW_HEIGHT;
  const content = [
    drawAxis(endMs, bottom, x),
    ...rows.map((row, index) => drawRow(row, top + index * ROW_HEIGHT, x)),
    ...moments.map(({ atMs, label: name, title }) =>
      group(title, [
        `<line class="violation" x1="${at(x(atMs))}" x2="${at(x(atMs))}" y1="${top}" y2="${bottom}"/>`,
        `<text class="violated" x="${at(x(atMs))}" y="${top - 6}" text-anchor="middle">${escapeMarkup(name)}</text>`,
      ]),
    ),
  ];
  return drawing(label, WIDTH, bottom + AXIS_HEIGHT, content);
}

export function drawing(
  label: string,
  width: number,
  height: number,
  content: readonly string[],
): string {
  return `<svg viewBox="0 0 ${at(width)} ${at(height)}" role="img" aria-label="${escapeMarkup(label)}">\n${content.join("\n")}\n</svg>`;
}

export function group(title: string, content: readonly string[]): string {
  return `<g><title>${escapeMarkup(title)}</title>${content.join("")}</g>`;
}

export function cut(text: string, characters: number): string {
  return text.length > characters ? `${text.slice(0, characters - 1)}…` : text;
}

/** A coordinate with one decimal. */
export function at(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function drawAxis(endMs: number, y: number, x: (ms: number) => number): string {
  const ticks = Array.from({ length: TICKS }, (_, index) => (endMs * index) / (TICKS - 1));
  return ticks
    .map(
      (ms) =>
        `<line class="line" x1="${at(x(ms))}" x2="${at(x(ms))}" y1="0" y2="${y}"/><text class="small" x="${at(x(ms))}" y="${y + 15}" text-anchor="middle">${(ms / 1000).toFixed(1)} s</text>`,
    )
    .join("");
}

function drawRow({ name, bars }: Row, y: number, x: (ms: number) => number): string {
  const text = `<text x="${NAMES_WIDTH - 8}" y="${y + 15}" text-anchor="end">${escapeMarkup(cut(name, NAME_CHARACTERS))}<title>${escapeMarkup(name)}</title></text>`;
  const rectangles = bars.map(({ beginMs, endMs, kind, title, label }) => {
    const width = Math.max(BAR_MIN_WIDTH, x(endMs) - x(beginMs));
    const fits = label !== undefined && width > label.length * 7 + 8;
    return group(title, [
      `<rect class="${kind === "up" ? "up" : `bar-${kind}`}" x="${at(x(beginMs))}" y="${y + 4}" width="${at(width)}" height="${BAR_HEIGHT}" rx="2"/>`,
      fits
        ? `<text${ON_SOLID.has(kind) ? ' class="on"' : ""} x="${at(x(beginMs) + 4)}" y="${y + 15}">${escapeMarkup(label)}</text>`
        : "",
    ]);
  });
  return [text, ...rectangles].join("");
}
