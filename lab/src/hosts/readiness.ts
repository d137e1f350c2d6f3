import { LabError } from "../errors.ts";
import { lastLines } from "../log-text.ts";
import { type Clock, type Deadline, poll } from "../system/clock.ts";
import { readText } from "../system/files.ts";
import type { LabHost } from "./host.ts";

const READY_POLL_MS = 10;
const LOG_TAIL_LINES = 15;

export interface Waiting {
  readonly clock: Clock;
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
}

/**
 * Waits until every host's agent has written subnet.env and its pod is there.
 * @throws LabError "timed-out"; "agent-ended" as soon as an agent has ended, where `endIsFailure`
 */
export async function waitReady(
  hosts: readonly LabHost[],
  { clock, deadline, signal }: Waiting,
  endIsFailure: boolean,
): Promise<void> {
  const unready = (): LabHost[] => hosts.filter(({ state }) => state !== "ready");
  const outcome = await poll(clock, { everyMs: READY_POLL_MS, deadline, signal }, () => {
    const ended = endIsFailure ? hosts.find((host) => host.agent.ended !== undefined) : undefined;
    return ended ?? (unready().length === 0 ? "ready" : undefined);
  });
  signal.throwIfAborted();
  if (outcome === "ready") {
    return;
  }
  const [worst] = outcome === undefined ? unready() : [outcome];
  const evidence = worst === undefined ? [] : evidenceOf(worst);
  if (outcome === undefined) {
    const names = unready().map(({ name }) => name);
    throw new LabError("timed-out", `not ready in time: ${names.join(", ")}`, { evidence });
  }
  const how = outcome.agent.ended?.how ?? "";
  throw new LabError(
    "agent-ended",
    `the agent on ${outcome.name} ended (${how}) before it was ready`,
    { evidence },
  );
}

/** What a person wants to read about a host that does not do its work. */
export function evidenceOf(host: LabHost): string[] {
  const trouble = host.podTrouble === undefined ? [] : [host.podTrouble];
  const tail = lastLines(readText(host.files.agentLog) ?? "", LOG_TAIL_LINES);
  const heading =
    tail.length === 0
      ? `the agent on ${host.name} wrote no log`
      : `the end of the agent's log on ${host.name}:`;
  return [...trouble, heading, ...tail.map((line) => `  ${line}`)];
}
