import { formatTable } from "../table.ts";
import type { Verdict } from "./events.ts";
import { escapeMarkup, plainLine } from "./markup.ts";
import { hostsByAgent, invariantVerdicts, type Story } from "./story.ts";
import { worstOf } from "./verdict.ts";

/** Two runs side by side. */
export interface Comparison {
  readonly agents: readonly [string, string];
  readonly rows: readonly ComparisonRow[];
}

export interface ComparisonRow {
  readonly scenario: string;
  readonly variant: string;
  /** An invariant's id, or `(run)` for the run as a whole. */
  readonly subject: string;
  /** Undefined where that side has no such thing. */
  readonly verdicts: readonly [Verdict | undefined, Verdict | undefined];
}

const WHOLE_RUN = "(run)";

/** Every scenario, variant and invariant that one of the two sides has. Repeated runs of one side keep their worst. */
export function compareRuns(a: readonly Story[], b: readonly Story[]): Comparison {
  const [left, right] = [verdictsOf(a), verdictsOf(b)];
  const keys = [...new Set([...left.keys(), ...right.keys()])].toSorted();
  return {
    agents: [agentsOf(a), agentsOf(b)],
    rows: keys.map((key) => {
      const [scenario = "", variant = "", subject = ""] = key.split(SEPARATOR);
      return { scenario, variant, subject, verdicts: [left.get(key), right.get(key)] };
    }),
  };
}

/** Sorts before every character of a name. */
const SEPARATOR = "\u0000";

function verdictsOf(stories: readonly Story[]): ReadonlyMap<string, Verdict> {
  const verdicts = new Map<string, Verdict>();
  for (const story of stories) {
    const name = [story.started?.scenario.name ?? "", story.started?.variant.text ?? ""];
    const all: [string, Verdict][] = [
      [WHOLE_RUN, story.judgement.verdict],
      ...invariantVerdicts(story),
    ];
    for (const [subject, verdict] of all) {
      const key = [...name, subject].join(SEPARATOR);
      const before = verdicts.get(key);
      verdicts.set(key, worstOf(before === undefined ? [verdict] : [before, verdict]));
    }
  }
  return verdicts;
}

/** What ran, and where if not everywhere: the versions, or the command lines where the agents say no version. */
function agentsOf(stories: readonly Story[]): string {
  const agents = stories.flatMap(({ started }) => started?.agents ?? []);
  const groups = [...hostsByAgent(agents, ({ command, version }) => version ?? command)];
  const words = groups.map(([name, hosts]) =>
    groups.length === 1 ? name : `${name} (${hosts.join(" ")})`,
  );
  return words.join(" + ") || "unknown agent";
}

export function formatComparison({ agents, rows }: Comparison): string {
  const differing = rows.filter(({ verdicts: [a, b] }) => a !== b).length;
  const table = formatTable([
    ["SCENARIO", "VARIANT", "INVARIANT", "A", "B", ""],
    ...rows.map(({ scenario, variant, subject, verdicts: [a, b] }) => [
      plainLine(scenario),
      plainLine(variant),
      plainLine(subject),
      a ?? "-",
      b ?? "-",
      a === b ? "" : "≠",
    ]),
  ]);
  return `A: ${plainLine(agents[0])}\nB: ${plainLine(agents[1])}\n\n${table}\n${differing} of ${rows.length} differ\n`;
}

/** The same table for a page. */
export function comparisonTable({ agents, rows }: Comparison): string {
  const cell = (verdict: Verdict | undefined): string =>
    `<td class="${verdict ?? "none"}">${verdict ?? "–"}</td>`;
  const body = rows.map(
    ({ scenario, variant, subject, verdicts: [a, b] }) =>
      `<tr${a === b ? "" : ' class="differs"'}><th scope="row">${escapeMarkup(scenario)}</th><td>${escapeMarkup(variant)}</td><td>${escapeMarkup(subject)}</td>${cell(a)}${cell(b)}<td>${a === b ? "" : "differs"}</td></tr>`,
  );
  return `<table><caption>Agent by scenario by invariant</caption><thead><tr>${[
    "Scenario",
    "Variant",
    "Invariant",
    `A: ${agents[0]}`,
    `B: ${agents[1]}`,
    "",
  ]
    .map((head) => `<th scope="col">${escapeMarkup(head)}</th>`)
    .join("")}</tr></thead><tbody>${body.join("\n")}</tbody></table>`;
}
