/** What the agent answers over HTTP, as functions of values. */
import { HINDRANCES } from "../daemon-readiness.ts";
import type { AgentState, WishState } from "../daemon-vitals.ts";

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

export function reportPage(report: Report): Page {
  return { status: 200, type: "application/json", body: JSON.stringify(report) };
}
