import { join, relative } from "node:path";
import { escapeCut, escapeMarkup } from "../markup.ts";
import { commandAgain, hostsByAgent, invariantVerdicts, type Story, titleOf } from "../story.ts";
import { drawGaps, drawLeases, drawTimeline } from "./run-drawings.ts";
import { drawTopology } from "./topology-drawing.ts";

/** Lines of one host's log that a page carries; the last ones. */
const MAX_LOG_LINES = 5000;

/** One run: what it was, what it came to, drawings, tables with the same facts, logs. @param pageFolder where the page will be */
export function runArticle(story: Story, id: string, pageFolder?: string): string {
  const { verdict } = story.judgement;
  return [
    `<article id="${id}" aria-labelledby="${id}-title">`,
    `<h2 id="${id}-title"><span class="badge ${verdict}">${verdict}</span> ${escapeMarkup(titleOf(story))}</h2>`,
    ...reasonsOf(story),
    factsOf(story),
    ...(story.topology === undefined ? [] : [section("Topology", drawTopology(story.topology))]),
    section("Timeline", drawTimeline(story)),
    section("Steps", stepsTable(story)),
    ...(story.violations.length === 0
      ? []
      : [section("Violations", violationsTable(story, pageFolder))]),
    ...(invariantVerdicts(story).size === 0 ? [] : [section("Invariants", invariantsTable(story))]),
    ...(story.faults.length === 0 ? [] : [section("Faults", faultsTable(story))]),
    ...(story.probes.length === 0
      ? []
      : [section("Traffic", drawGaps(story) + probesTable(story))]),
    ...(story.leases.length === 0 ? [] : [section("Leases", drawLeases(story))]),
    ...(story.logs.length === 0 ? [] : [logsOf(story, id)]),
    `</article>`,
  ].join("\n");
}

function section(title: string, content: string): string {
  return `<section><h3>${title}</h3><div class="wide" tabindex="0" role="region" aria-label="${title}">${content}</div></section>`;
}

function reasonsOf({ judgement, broke, torn, started }: Story): readonly string[] {
  const lines = [
    ...judgement.reasons,
    ...(broke?.details ?? []),
    ...(torn ? ["the log ends in the middle of a line"] : []),
  ];
  return [
    ...(started === undefined ? [] : [`<p class="why">${escapeCut(started.scenario.why)}</p>`]),
    ...(lines.length === 0
      ? []
      : [`<ul>${lines.map((line) => `<li>${escapeCut(line)}</li>`).join("\n")}</ul>`]),
  ];
}

function factsOf(story: Story): string {
  const { started, endMs } = story;
  if (started === undefined) {
    return "";
  }
  const { kernel, cores, memoryMb, node } = started.machine;
  const agents = hostsByAgent(started.agents, ({ command, version }) =>
    version === undefined ? command : `${command} (${version})`,
  );
  const facts: readonly (readonly [string, string])[] = [
    ["run", started.run],
    ["began", started.wallClock],
    ["took", `${(endMs / 1000).toFixed(1)} s`],
    ...(started.driver === undefined ? [] : [["hosts", started.driver] as const]),
    ...(started.seed === undefined ? [] : [["seed", String(started.seed)] as const]),
    ...commandAgain(story).map((command) => ["again", command] as const),
    ["stands for", started.scenario.invariants.join(" ") || "no invariant"],
    ["watched", started.watched.join(" ") || "no invariant: the expectations alone speak"],
    ...[...agents].map(([words, hosts]) => [`agent of ${hosts.join(" ")}`, words] as const),
    ["machine", `${kernel}, ${cores} cores, ${memoryMb} MB, Node ${node}`],
  ];
  return `<dl>${facts.map(([name, value]) => `<dt>${escapeMarkup(name)}</dt><dd>${escapeCut(value)}</dd>`).join("")}</dl>`;
}

function stepsTable({ steps }: Story): string {
  return table(
    ["#", "Step", "Verdict", "Seconds", "Seen"],
    steps.map(({ number, facts, end }) => [
      String(number),
      facts.text,
      end?.verdict ?? "unknown",
      end === undefined ? "not played" : (end.ms / 1000).toFixed(2),
      (end?.details ?? []).join("\n"),
    ]),
  );
}

function violationsTable({ violations, folder }: Story, pageFolder: string | undefined): string {
  const wordsOf = (file: string): Markup => {
    const words = escapeCut(file);
    if (folder === undefined || pageFolder === undefined) {
      return { markup: words };
    }
    const path = relative(pageFolder, join(folder, file));
    const address = path.split("/").map(encodeURIComponent).join("/");
    return { markup: `<a href="${escapeMarkup(address)}">${words}</a>` };
  };
  return table(
    ["Seconds", "Invariant", "Host", "Seen", "Evidence"],
    violations.map(({ violatedAt, id, host, detail, evidence }) => [
      (violatedAt / 1000).toFixed(3),
      id,
      host ?? "",
      detail,
      { markup: evidence.map((file) => wordsOf(file).markup).join("<br>") },
    ]),
  );
}

function invariantsTable(story: Story): string {
  return table(
    ["Invariant", "Verdict", "Looked", "Seen"],
    [...invariantVerdicts(story)].map(([id, verdict]) => {
      const check = story.checked.find((one) => one.id === id);
      return [id, verdict, String(check?.looked ?? 0), check?.detail ?? ""];
    }),
  );
}

function faultsTable({ faults }: Story): string {
  return table(
    ["From", "To", "Fault", "Target", "Seen"],
    faults.map(({ beginMs, endMs, name, target, saw }) => [
      (beginMs / 1000).toFixed(3),
      endMs === undefined ? "the end" : (endMs / 1000).toFixed(3),
      name,
      target,
      saw ?? "by nobody",
    ]),
  );
}

function probesTable({ probes }: Story): string {
  return table(
    ["Pair", "Sent", "Received", "Gaps", "Longest ms", "Twice", "Reordered", "Misdelivered"],
    probes.map((probe) => [
      `${probe.from} → ${probe.to} ${probe.family}`,
      String(probe.sent),
      String(probe.received),
      String(probe.gaps.length),
      String(Math.round(Math.max(0, ...probe.gaps.map(({ lengthMs }) => lengthMs)))),
      String(probe.duplicates),
      String(probe.reordered),
      String(probe.misdelivered),
    ]),
  );
}

const VERDICTS: ReadonlySet<string> = new Set(["pass", "fail", "unknown"]);

/** What is markup already. */
interface Markup {
  readonly markup: string;
}

function table(heads: readonly string[], rows: readonly (readonly (string | Markup)[])[]): string {
  const cell = (text: string | Markup): string => {
    if (typeof text !== "string") {
      return `<td>${text.markup}</td>`;
    }
    const kind = VERDICTS.has(text) ? text : /^[\d.]+$/.test(text) ? "number" : "";
    return `<td${kind === "" ? "" : ` class="${kind}"`}>${escapeCut(text).replaceAll("\n", "<br>")}</td>`;
  };
  return `<table><thead><tr>${heads.map((head) => `<th scope="col">${escapeMarkup(head)}</th>`).join("")}</tr></thead><tbody>${rows
    .map((row) => `<tr>${row.map(cell).join("")}</tr>`)
    .join("\n")}</tbody></table>`;
}

function logsOf({ logs }: Story, id: string): string {
  const hosts = [...new Set(logs.map(({ host }) => host))];
  const columns = hosts.map((host) => {
    const own = logs.filter((log) => log.host === host);
    const lines = own.flatMap((log) => log.lines);
    const omitted = own.reduce((sum, log) => sum + log.omitted, 0);
    const left = omitted + Math.max(0, lines.length - MAX_LOG_LINES);
    return [
      `<div class="log"><h4>${escapeMarkup(host)}${left === 0 ? "" : `, ${left} lines before these left out`}</h4>`,
      `<ol class="lines" tabindex="0" aria-label="Log of ${escapeMarkup(host)}">`,
      ...lines.slice(-MAX_LOG_LINES).map((line) => `<li>${escapeCut(line)}</li>`),
      `</ol></div>`,
    ].join("\n");
  });
  return `<section><h3>Logs</h3><p><label for="${id}-search">Search the logs </label><input type="search" id="${id}-search" data-logs> <span role="status"></span></p><div class="columns">${columns.join("\n")}</div></section>`;
}
