import type { RunEvent } from "./events.ts";
import { isPacketFile } from "../watch/pcapng.ts";
import { plainLine } from "./markup.ts";
import { repetitionText, subjectOf } from "./story.ts";

/** An event in words, one line, as `lab replay` prints it. */
export function formatEvent(event: RunEvent): string {
  return plainLine(wordsOf(event));
}

function wordsOf(event: RunEvent): string {
  switch (event.type) {
    case "run-started":
      return `run ${event.run}: ${subjectOf(event)}${repetitionText(event)}${event.seed === undefined ? "" : `, seed ${event.seed}`}, ${event.wallClock}`;
    case "topology":
      return `topology: ${event.hosts.length} hosts on ${event.segments.length} segments, store at ${event.store.endpoint}`;
    case "step-began":
      return `step ${event.step} begins`;
    case "step-ended":
      return `step ${event.step}: ${[event.verdict, ...event.details].join("; ")}`;
    case "expectation-evaluated":
      return `expect ${event.expectation}: ${event.verdict} after ${Math.round(event.ms)} of ${event.withinMs} ms`;
    case "lease-changed":
    case "kernel-changed":
    case "agent-started":
    case "agent-ended":
    case "host-log":
      return wordsOfHost(event);
    case "invariant-violated":
      return [
        `${event.id} VIOLATED${event.host === undefined ? "" : ` on ${event.host}`}: ${event.detail}`,
        ...event.evidence.filter(isPacketFile).map((file) => `packets in ${file}`),
      ].join("; ");
    case "invariant-checked":
      return `${event.id}: ${event.verdict}, looked ${event.looked} times; ${event.detail}`;
    case "probe-figures":
      return `probe ${event.from} → ${event.to} ${event.family}: ${event.received} of ${event.sent}, ${event.gaps.length} gaps`;
    case "run-broke":
      return `${event.phase} broke (${event.blame}): ${event.message}`;
    case "machine-short":
      return `the machine: ${event.detail}`;
    case "run-ended":
      return `run ends: ${event.verdict}`;
    default:
      return wordsOfFault(event);
  }
}

type FaultEvent = Extract<RunEvent, { readonly fault: string }>;

function wordsOfFault(event: FaultEvent): string {
  switch (event.type) {
    case "fault-injected":
      return `fault ${event.name} ${event.target}`;
    case "fault-verified":
      return `fault ${event.fault} seen: ${event.saw}`;
    case "fault-healed":
      return `fault ${event.fault} healed`;
    case "fault-heal-verified":
      return `fault ${event.fault} gone: ${event.saw}`;
    case "fault-not-seen":
      return `fault ${event.fault}: nobody saw its ${event.part}; ${event.detail}`;
  }
}

type HostEvent = Extract<
  RunEvent,
  {
    readonly type:
      | "lease-changed"
      | "kernel-changed"
      | "agent-started"
      | "agent-ended"
      | "host-log";
  }
>;

function wordsOfHost(event: HostEvent): string {
  switch (event.type) {
    case "lease-changed":
      return `store ${event.revision}: ${event.kind} ${event.key}${event.owner === undefined ? "" : ` of ${event.owner}`}`;
    case "kernel-changed":
      return `${event.host}: ${event.kind} ${event.object}`;
    case "agent-started":
      return `${event.host}: agent starts, process ${event.pid}`;
    case "agent-ended":
      return `${event.host}: agent ends, ${event.signal ?? `code ${event.code ?? "unknown"}`}`;
    case "host-log":
      return `${event.host}: ${event.lines.length} lines of log`;
  }
}
