/** What the agent answers over HTTP, as functions of values. */
import { HINDRANCES } from "../daemon-readiness.ts";
import type { AgentState, WishState } from "../daemon-vitals.ts";
import type { Steps } from "../system/slices.ts";

export interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const TEXT = "text/plain; charset=utf-8";

/** Source: spec 01 section 7. */
export function healthzPage(): Page {
  return { status: 200, type: TEXT, body: "flanneld is running" };
}

/**
 * The reference's words first; what hinders follows, a line each.
 * @param once whether an agent that was ready once counts as ready for ever, as with the reference
 */
export function readyzPage(
  { ready, hindrances, stage }: Pick<AgentState, "ready" | "hindrances" | "stage">,
  once: boolean,
): Page {
  if (ready || once) return { status: 200, type: TEXT, body: "flanneld is ready" };
  const reasons = hindrances.map(
    (one) => `- ${HINDRANCES[one]}${one === "starting" ? ` (${stage})` : ""}\n`,
  );
  return { status: 503, type: TEXT, body: `flanneld is not ready yet\n${reasons.join("")}` };
}

/** What `flanneld status` and `flanneld check` read. */
export interface Report {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly subnetFile: string;
  readonly state: AgentState;
  /** Only for `check`; absent before the first pass. */
  readonly wish?: WishState;
}

/** Member by member and element by element: ten thousand peers in one go would hold up everything else for some ten milliseconds. */
export function* reportPage(report: Report): Steps<Page> {
  const parts: string[] = [];
  yield* writeJson(report, parts);
  return { status: 200, type: "application/json", body: parts.join("") };
}

/** As JSON.stringify has it, of values that are plain data. */
function* writeJson(value: unknown, parts: string[]): Steps<void> {
  if (Array.isArray(value)) {
    let before = "[";
    for (const element of value) {
      parts.push(before, JSON.stringify(element));
      before = ",";
      yield;
    }
    parts.push(value.length === 0 ? "[]" : "]");
  } else if (typeof value === "object" && value !== null) {
    let before = "{";
    for (const [name, member] of Object.entries(value)) {
      if (member === undefined) continue;
      parts.push(before, JSON.stringify(name), ":");
      before = ",";
      yield* writeJson(member, parts);
    }
    parts.push(before === "{" ? "{}" : "}");
  } else parts.push(JSON.stringify(value));
}
