import { failedPairs, type PingMatrix, type PingPair } from "../lab.ts";
import { formatTable } from "../table.ts";

const UNREACHED = "✗";
const NOT_EXPECTED = "·";

/** The matrix as text: from down, to across, one table per family; milliseconds, ✗ lost, (·) not expected to pass. */
export function formatPingMatrix(matrix: PingMatrix): string {
  const families = [...new Set(matrix.pairs.map(({ family }) => family))];
  return families
    .map((family) => {
      const cells = new Map(
        matrix.pairs
          .filter((pair) => pair.family === family)
          .map((pair) => [`${pair.from} ${pair.to}`, formatCell(pair)]),
      );
      const rows = matrix.hosts.map((from) => [
        from,
        ...matrix.hosts.map((to) => (from === to ? "-" : (cells.get(`${from} ${to}`) ?? ""))),
      ]);
      return formatTable([[`${family} ms`, ...matrix.hosts], ...rows]);
    })
    .join("");
}

/** One line on the whole matrix. */
export function summarizePings(matrix: PingMatrix): string {
  const expected = matrix.pairs.filter((pair) => pair.expected);
  const failed = failedPairs(matrix);
  const others = matrix.pairs.length - expected.length;
  const beside = others === 0 ? "" : `, ${others} not expected to`;
  const sample = matrix.isSample === true ? " (a sample of all)" : "";
  return `${expected.length - failed.length}/${expected.length} pod pairs reach each other${beside}${sample}`;
}

/** A failing pair in words, for a list of evidence. */
export function describePair(pair: PingPair): string {
  return `${pair.from} → ${pair.to} ${pair.family}: ${pair.received} of ${pair.sent} answered`;
}

function formatCell(pair: PingPair): string {
  const text =
    pair.received < pair.sent
      ? pair.received === 0
        ? UNREACHED
        : `${UNREACHED} ${pair.received}/${pair.sent}`
      : (pair.averageMs ?? 0).toFixed(2);
  return pair.expected ? text : pair.received === 0 ? NOT_EXPECTED : `(${text})`;
}
