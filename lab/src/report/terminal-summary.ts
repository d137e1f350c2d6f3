import type { RunEvent, RunStarted, StepFacts, Verdict } from "./events.ts";
import { isPacketFile } from "../watch/pcapng.ts";
import { plainLine } from "./markup.ts";
import {
  commandAgain,
  hostsByAgent,
  longestGap,
  repetitionText,
  type Story,
  subjectOf,
  titleOf,
} from "./story.ts";

const MARKS: Readonly<Record<Verdict, string>> = { pass: "✓", fail: "✗", unknown: "?" };
/** Select graphic rendition. Source: ECMA-48 section 8.3.117. */
const COLOURS: Readonly<Record<Verdict, number>> = { pass: 32, fail: 31, unknown: 33 };
/** Violations of one run that are printed; the rest are counted. */
const MAX_VIOLATIONS = 20;
const MAX_DETAILS = 12;

export interface SummaryStyle {
  /** Only where a person looks at a terminal. */
  readonly colour: boolean;
}

/** Prints a line a step while a run goes on: give it each event as it is appended. */
export function openSummary(
  style: SummaryStyle,
  print: (text: string) => void,
): (event: RunEvent) => void {
  let steps: readonly StepFacts[] = [];
  let violations = 0;
  return (event) => {
    switch (event.type) {
      case "run-started":
        ({ steps } = event.scenario);
        print(
          `[=] ${plainLine(`${subjectOf(event)}${repetitionText(event)}`)}${event.seed === undefined ? "" : ` seed ${event.seed}`}\n${formatMixture(event)}`,
        );
        break;
      case "step-ended": {
        const text = steps[event.step - 1]?.text ?? `step ${event.step}`;
        const details = event.verdict === "pass" ? [] : event.details.slice(0, MAX_DETAILS);
        const seen = event.verdict === "pass" ? plainLine(event.details[0] ?? "") : "";
        const line =
          `  ${mark(event.verdict, style)} ${plainLine(text)}  ${seconds(event.ms)}  ${seen}`.trimEnd();
        print([line, ...details.map((detail) => `      ${plainLine(detail)}`), ""].join("\n"));
        break;
      }
      case "fault-not-seen":
        print(
          `  ${mark("unknown", style)} nobody saw the ${event.part} of ${plainLine(event.fault)}\n`,
        );
        break;
      case "invariant-violated":
        violations += 1;
        if (violations <= MAX_VIOLATIONS) {
          print(formatViolation(event, style));
        }
        break;
      case "run-broke":
        print(
          `  ${mark(event.blame === "agent" ? "fail" : "unknown", style)} ${plainLine(event.message)}\n${event.details
            .slice(0, MAX_DETAILS)
            .map((line) => `      ${plainLine(line)}\n`)
            .join("")}`,
        );
        break;
      default:
    }
  };
}

/** Which host runs what, a line an agent; nothing where all run the same. */
function formatMixture({ agents }: RunStarted): string {
  const groups = [...hostsByAgent(agents, ({ command, version }) => version ?? command)];
  return groups.length < 2
    ? ""
    : groups
        .map(([words, hosts]) => `  ${plainLine(`agent of ${hosts.join(" ")}: ${words}`)}\n`)
        .join("");
}

/** One line on the whole run, and under it why it is no pass. */
export function formatVerdictLine(story: Story, style: SummaryStyle): string {
  const { verdict, reasons } = story.judgement;
  const gap = longestGap(story);
  const ids = [...new Set(story.violations.map(({ id }) => id))];
  const beside = [
    ...(ids.length === 0 ? [] : [`${ids.join(" ")} violated`]),
    ...(gap === undefined ? [] : [`max gap ${gap.from}→${gap.to} ${Math.round(gap.lengthMs)} ms`]),
  ];
  const head = `${mark(verdict, style)} ${verdict} ${plainLine(titleOf(story))} ${seconds(story.endMs)}`;
  const shown = reasons.slice(0, MAX_DETAILS).map((reason) => `    ${plainLine(reason)}`);
  const more = reasons.length > MAX_DETAILS ? [`    and ${reasons.length - MAX_DETAILS} more`] : [];
  const again = commandAgain(story).map((command) => `    again: ${plainLine(command)}`);
  const lines = [[head, ...beside.map(plainLine)].join(" · "), ...shown, ...more, ...again];
  return `${lines.join("\n")}\n`;
}

/** The last line of several runs. */
export function formatTotals(stories: readonly Story[]): string {
  const count = (verdict: Verdict): number =>
    stories.filter(({ judgement }) => judgement.verdict === verdict).length;
  return `${stories.length} runs: ${count("pass")} pass, ${count("fail")} fail, ${count("unknown")} unknown\n`;
}

function formatViolation(
  event: Extract<RunEvent, { readonly type: "invariant-violated" }>,
  style: SummaryStyle,
): string {
  const where = event.host === undefined ? "" : `${event.host} `;
  const [first, ...others] = event.evidence;
  const shown = [...(first === undefined ? [] : [first]), ...others.filter(isPacketFile)];
  const evidence = shown.map((file) => `\n      ${plainLine(file)}`).join("");
  return `  ${mark("fail", style)} ${event.id} t=+${(event.violatedAt / 1000).toFixed(3)} s ${plainLine(where + event.detail)}${evidence}\n`;
}

function mark(verdict: Verdict, { colour }: SummaryStyle): string {
  return colour ? `\u001b[${COLOURS[verdict]}m${MARKS[verdict]}\u001b[0m` : MARKS[verdict];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
