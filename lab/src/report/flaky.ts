import type { Verdict } from "./events.ts";
import { plainLine } from "./markup.ts";
import { type Story, subjectOf } from "./story.ts";

const VERDICTS: readonly Verdict[] = ["pass", "fail", "unknown"];

/** The lines below, as a text. */
export function formatFlaky(stories: readonly Story[]): string {
  return flakyLines(stories)
    .map((line) => `${line}\n`)
    .join("");
}

/**
 * What several runs of the same scenario and variant came to: a line for each that did not come to the same verdict each time,
 * or that there is none. Nothing where nothing was run twice.
 */
export function flakyLines(stories: readonly Story[]): readonly string[] {
  const repeated = [...repeatedVerdicts(stories)];
  const flaky = repeated.filter(([, verdicts]) => new Set(verdicts).size > 1);
  if (repeated.length > 0 && flaky.length === 0) {
    return ["flaky: none, each scenario came to the same verdict each time"];
  }
  return flaky.map(([subject, verdicts]) => {
    const counts = VERDICTS.map((verdict) => ({
      verdict,
      count: verdicts.filter((one) => one === verdict).length,
    })).filter(({ count }) => count > 0);
    const words = counts.map(({ verdict, count }) => `${count} ${verdict}`);
    return plainLine(`flaky: ${subject}: ${words.join(", ")}`);
  });
}

function repeatedVerdicts(stories: readonly Story[]): ReadonlyMap<string, readonly Verdict[]> {
  const verdicts = new Map<string, Verdict[]>();
  for (const { started, judgement } of stories) {
    if (started !== undefined) {
      const subject = subjectOf(started);
      verdicts.set(subject, [...(verdicts.get(subject) ?? []), judgement.verdict]);
    }
  }
  return new Map([...verdicts].filter(([, several]) => several.length > 1));
}
