import type { LabNews } from "../lab.ts";
import { plainLine } from "../report/markup.ts";

/** Something that happened in a lab, as `lab events --json` prints it. */
export interface Happening {
  /** Wall clock, ISO 8601. */
  readonly at: string;
  /** `agent-ended`, `fault`, `host-added`, …; what else there is depends on it. */
  readonly type: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The supervisor records these too, with more facts, or with less. */
const RECORDED_BETTER: ReadonlySet<string> = new Set(["fault-injected", "fault-expired"]);
const TOLD_BETTER: ReadonlySet<string> = new Set(["agent-started"]);

/** What the supervisor told, at the time `now` (milliseconds since 1970). */
export function happeningsOfNews({ events }: LabNews, now: number): Happening[] {
  return events
    .filter(({ event }) => !RECORDED_BETTER.has(event.type))
    .map(({ agoMs, event: { type, ...facts } }) => ({
      at: new Date(now - agoMs).toISOString(),
      type,
      facts,
    }));
}

/** What the supervisor wrote into the lab's events.jsonl: whole lines. Others than its own are left out. */
export function happeningsOfRecords(text: string): Happening[] {
  return text.split("\n").flatMap((line) => {
    const value = parseObject(line);
    const { at, event, ...facts } = value ?? {};
    if (typeof at !== "string" || typeof event !== "string") {
      return [];
    }
    const type = event.replaceAll(" ", "-");
    return TOLD_BETTER.has(type) ? [] : [{ at, type, facts }];
  });
}

/** One line of JSON: the time, the type, and the facts beside them. */
export function happeningJson({ at, type, facts }: Happening): string {
  return `${JSON.stringify({ ...facts, at, type })}\n`;
}

/** One line for a person. */
export function formatHappening(happening: Happening): string {
  return `${happening.at}  ${plainLine(describe(happening))}\n`;
}

function describe({ type, facts }: Happening): string {
  const text = (name: string): string => {
    const value = facts[name];
    return typeof value === "string" || typeof value === "number" ? String(value) : "";
  };
  const seen = facts["saw"] === null ? "nobody saw it" : text("saw");
  switch (type) {
    case "up":
      return `up: ${text("step")}, ${text("detail")}`;
    case "host-added":
    case "host-removed":
      return `${text("host")}: ${type.replace("-", " ")}`;
    case "agent-started":
      return `${text("host")}: agent started`;
    case "agent-ended":
      return `${text("host")}: agent ended, ${facts["signal"] === undefined ? `code ${text("code")}` : text("signal")}`;
    case "agent-killed":
    case "agent-signalled":
      return `${text("host")}: the lab sends ${text("signal")} to the agent`;
    case "fault":
      return `${text("id")} ${text("fault")}: on, ${seen}`;
    case "healed":
      return `${text("id")} ${text("text")}: over, ${seen}`;
    case "not-healed":
      return `${text("id")} ${text("text")}: still on, ${text("trouble")}`;
    case "store-written":
    case "store-key-removed":
    case "lease-expired":
      return `store: ${type.replaceAll("-", " ").replace(/^store /, "")} ${text("key")}`;
    case "lab-ended":
      return "the lab has ended";
    default:
      return `${type} ${JSON.stringify(facts)}`;
  }
}

function parseObject(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}
