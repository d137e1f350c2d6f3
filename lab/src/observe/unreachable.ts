import { LabError } from "../errors.ts";
import { failedPairs, type PingMatrix } from "../lab.ts";
import { describePair } from "./ping-table.ts";

/** Pairs named in an error; the rest are counted. */
const NAMED_PAIRS = 10;

/** The error that names the pairs that were to answer and did not. */
export function unreachable(matrix: PingMatrix, evidence: readonly string[]): LabError {
  const failed = failedPairs(matrix);
  const more = failed.length > NAMED_PAIRS ? [`and ${failed.length - NAMED_PAIRS} more`] : [];
  return new LabError(
    "unreachable",
    `${failed.length} of ${matrix.pairs.length} pod pairs do not reach each other`,
    { evidence: [...failed.slice(0, NAMED_PAIRS).map(describePair), ...more, ...evidence] },
  );
}
