import { formatTable } from "../table.ts";
import { plainLine } from "./markup.ts";
import { type Story, titleOf } from "./story.ts";

/** Where the time of one run went, in milliseconds, in the order of the run. */
export interface Phase {
  /** `set-up`, the words of a step without what it was aimed at, `last look`, `tear-down`. */
  readonly name: string;
  readonly ms: number;
}

/** Rows of the table below; the rest is summed up. */
const MAX_ROWS = 40;

/**
 * Set-up is all before the first step; the last look all between the last step and the agents' logs, which are kept when the
 * witnesses have ended; tear-down what is left. A run that did not come so far has spent the rest of its time where it was.
 */
export function phasesOf({ steps, logs, endMs }: Story): readonly Phase[] {
  const begun = steps.flatMap(({ facts, beginMs, end }) =>
    beginMs === undefined
      ? []
      : [{ name: wordsOf(facts.text), beginMs, ms: end?.ms ?? endMs - beginMs }],
  );
  const [first, last] = [begun[0], begun.at(-1)];
  if (first === undefined || last === undefined) {
    return [{ name: "set-up", ms: endMs }];
  }
  const stepsEndMs = last.beginMs + last.ms;
  const watchEndMs = logs.at(-1)?.at ?? endMs;
  return [
    { name: "set-up", ms: first.beginMs },
    ...begun.map(({ name, ms }) => ({ name, ms })),
    { name: "last look", ms: Math.max(0, watchEndMs - stepsEndMs) },
    { name: "tear-down", ms: Math.max(0, endMs - Math.max(watchEndMs, stepsEndMs)) },
  ];
}

/** `fault kill-agent n1` and `fault kill-agent n2` are one thing to wait for. */
function wordsOf(text: string): string {
  const [kind = "", word = ""] = text.split(" ");
  return kind === "probe" && word !== "stop" ? "probe start" : `${kind} ${word}`;
}

/** Where the time of all runs went, the most first. */
export function formatPhases(stories: readonly Story[]): string {
  const spent = stories.flatMap((story) =>
    phasesOf(story).map((phase) => ({ ...phase, run: titleOf(story) })),
  );
  const totalMs = spent.reduce((sum, { ms }) => sum + ms, 0);
  const groups = [...Map.groupBy(spent, ({ name }) => name)]
    .map(([name, times]) => ({
      name,
      times: times.toSorted((a, b) => b.ms - a.ms),
      ms: times.reduce((sum, { ms }) => sum + ms, 0),
    }))
    .toSorted((a, b) => b.ms - a.ms);
  const rows = groups.slice(0, MAX_ROWS).map(({ name, times, ms }) => {
    const [longest] = times;
    return [
      plainLine(name),
      String(times.length),
      seconds(ms),
      `${totalMs === 0 ? 0 : Math.round((100 * ms) / totalMs)} %`,
      seconds(ms / times.length),
      longest === undefined ? "" : `${seconds(longest.ms)} ${plainLine(longest.run)}`,
    ];
  });
  const rest = groups.length - rows.length;
  return `${formatTable([["PHASE", "TIMES", "SECONDS", "SHARE", "MEAN", "LONGEST"], ...rows])}${rest > 0 ? `and ${rest} more\n` : ""}${seconds(totalMs)} s in ${stories.length} runs\n`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}
