import { join } from "node:path";
import { formatOutcome, type Mutant, type MutationOutcome, outcomeOf } from "../mutations.ts";
import type { Story } from "../report/story.ts";
import { type LoggedResult, runAll, type Suite, type SuiteResult } from "./run-suite.ts";

/** A run's result, and what came of the mutation that it was one of the runs of. */
interface MutantResult extends LoggedResult {
  readonly mutation: MutationOutcome;
}

/**
 * One mutation after the other; the event logs of each are in a folder of its name. What came of each is added to `outcomes`. A lab that
 * is left up is the last.
 * @throws LabError "interrupted"
 */
export async function runMutants(
  mutants: readonly Mutant[],
  suite: Suite,
  outcomes: MutationOutcome[],
): Promise<SuiteResult> {
  const results: MutantResult[] = [];
  for (const { mutation, runs, flanneld, timeoutSeconds } of mutants) {
    const stories: Story[] = [];
    const again = [...suite.again, "--mutation", mutation.name];
    const own = { flanneld: [flanneld], again, folder: join(suite.folder, mutation.name), stories };
    try {
      const runsBefore = results.length;
      const done = await runAll(runs, { ...suite, ...own, timeoutSeconds, runsBefore });
      const outcome = outcomeOf(mutation, stories);
      outcomes.push(outcome);
      results.push(...done.results.map((result) => ({ ...result, mutation: outcome })));
      if (!suite.isQuiet) {
        suite.terminal.out(formatOutcome(outcome));
      }
      if (done.results.some(({ leftUp }) => leftUp !== undefined)) {
        return { results, notBegun: done.notBegun };
      }
    } finally {
      suite.stories.push(...stories);
    }
  }
  return { results, notBegun: 0 };
}
