/** What is measured, as plain data: a table for people, JSON for machines. */

/** Several runs of several ways to do one thing, side by side. */
export interface Comparison {
  /** `programming 5,000 peers`. */
  readonly title: string;
  readonly unit: "ms" | "KiB" | "processes";
  /** The first is ours. */
  readonly ways: readonly Way[];
  /** What else was seen of ours; no ratio says anything of it. */
  readonly also: readonly Way[];
  /** Where the processor time of ours goes, in runs under a profiler; said where a bar is missed. */
  readonly profile?: readonly Way[];
  /** Where the design promises a ratio of ours to another way, or a limit of ours. */
  readonly bars: readonly Bar[];
}

/** What names of figures begin with that a profiler found. */
export const PROFILED = "profile: ";

export interface Way {
  readonly name: string;
  /** One figure a run, in the order of the runs. */
  readonly figures: readonly number[];
}

export interface Bar {
  readonly text: string;
  readonly limit: number;
  /** The name of the way that ours is divided by; ours itself when absent. */
  readonly of?: string;
}

export interface Judged extends Bar {
  readonly value: number;
  readonly isMet: boolean;
}

export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? Number.NaN)) / 2 : upper;
}

export function judge({ ways, bars }: Comparison): readonly Judged[] {
  const [ours] = ways;
  return bars.map((bar) => {
    const divisor =
      bar.of === undefined ? 1 : median(ways.find(({ name }) => name === bar.of)?.figures ?? []);
    const value = median(ours?.figures ?? []) / divisor;
    return { ...bar, value, isMet: value <= bar.limit };
  });
}

export function print(comparison: Comparison): string {
  const { title, unit, ways, also, profile = [] } = comparison;
  const judged = judge(comparison);
  const said = judged.every(({ isMet }) => isMet) ? [] : profile;
  const width = Math.max(...[...ways, ...also, ...said].map(({ name }) => name.length));
  const first = median(ways[0]?.figures ?? []);
  const line = ({ name, figures }: Way): string => {
    const range = `${round(Math.min(...figures))}..${round(Math.max(...figures))}`;
    return `  ${name.padEnd(width)}  ${round(median(figures)).padStart(9)} ${unit}  (${range})`;
  };
  const lines = ways.map((way, index) =>
    index === 0
      ? line(way)
      : `${line(way)}  ours is ${(first / median(way.figures)).toFixed(2)} of it`,
  );
  const bars = judged.map(
    ({ text, value, limit, isMet }) =>
      `  ${isMet ? "met" : "MISSED"}: ${text}: ${value.toFixed(2)}, at most ${limit}`,
  );
  const heading = said.length === 0 ? [] : ["  where the time goes, in runs under a profiler:"];
  return [title, ...lines, ...also.map(line), ...bars, ...heading, ...said.map(line)].join("\n");
}

function round(figure: number): string {
  return figure >= 100 ? figure.toFixed(0) : figure.toFixed(2);
}
