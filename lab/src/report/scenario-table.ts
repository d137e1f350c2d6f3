import { formatTable } from "../table.ts";
import type { Verdict } from "./events.ts";
import { plainLine } from "./markup.ts";
import type { Story } from "./story.ts";
import { worstOf } from "./verdict.ts";

/**
 * A row for each scenario and what is special about its network; a column for each backend with its families, in which are the
 * verdict and the seconds. Of repeated runs it is the worst verdict, and from the shortest to the longest time.
 */
export function formatScenarioTable(stories: readonly Story[]): string {
  const runs = stories.flatMap(({ started, judgement, endMs }) =>
    started === undefined
      ? []
      : [{ ...placeOf(started), verdict: judgement.verdict, seconds: endMs / 1000 }],
  );
  const columns = [...new Set(runs.map(({ column }) => column))].toSorted();
  const rows = [...Map.groupBy(runs, ({ row }) => row)].map(([row, own]) => [
    plainLine(row),
    plainLine(own[0]?.invariants ?? ""),
    ...columns.map((column) => cellOf(own.filter((one) => one.column === column))),
  ]);
  const heading = ["SCENARIO", "INVARIANTS", ...columns.map((column) => column.toUpperCase())];
  return formatTable([heading, ...rows]);
}

interface Place {
  readonly row: string;
  readonly column: string;
  readonly invariants: string;
}

/** One segment is what nearly all have, and not said. */
const USUAL_NETWORK = "1 segment";

function placeOf({ scenario, variant }: NonNullable<Story["started"]>): Place {
  const column = `${variant.backend} ${variant.family}`;
  const network = variant.text.startsWith(`${column}, `)
    ? variant.text.slice(column.length + 2)
    : variant.text;
  return {
    row: network === USUAL_NETWORK ? scenario.name : `${scenario.name} (${network})`,
    column: plainLine(column),
    invariants: scenario.invariants.join(" "),
  };
}

function cellOf(runs: readonly { readonly verdict: Verdict; readonly seconds: number }[]): string {
  if (runs.length === 0) {
    return "–";
  }
  const times = runs.map(({ seconds }) => seconds);
  const [least, most] = [Math.min(...times), Math.max(...times)].map((time) => time.toFixed(1));
  const range = least === most ? most : `${least} to ${most}`;
  return `${worstOf(runs.map(({ verdict }) => verdict))} ${range}`;
}
