import { formatEventLine, parseEventLog } from "../event-log.ts";
import type { RunEvent, RunStarted } from "../events.ts";
import { tellStory, type Story } from "../story.ts";

/** What a log, a store or a command line may hold against those who show it. */
export const HOSTILE = `</script><script>alert("1")</script>\u001b[2J\u0000 ]]> & 'x' \u202e \ud800`;
export const LONG_LINE: string = "long ".repeat(10_000);

export const STARTED: RunStarted = {
  type: "run-started",
  at: 0,
  version: 1,
  wallClock: "2026-01-02T03:04:05.678Z",
  run: "run-1",
  seed: 42,
  again: "pnpm lab run node-joins-and-leaves --flanneld 'flanneld --a' --seed 42",
  watched: ["A1", "D1", "D5"],
  scenario: {
    name: "node-joins-and-leaves",
    why: `a removed node's entries stay: ${HOSTILE}`,
    invariants: ["A1", "D1", "D5"],
    steps: [
      { kind: "expect", text: "expect pods-reach-each-other" },
      { kind: "fault", text: "fault partition n2" },
      { kind: "expect", text: "expect kernel-equals-leases" },
    ],
  },
  variant: { backend: "vxlan", family: "dual", text: "vxlan dual, 2 segments" },
  agents: [
    { host: "n1", command: "flanneld --a", version: "v0.1.0" },
    { host: "n2", command: HOSTILE },
  ],
  machine: { kernel: "Linux 6.1", cores: 2, memoryMb: 2048, node: "v24.0.0" },
};

const TOPOLOGY: RunEvent = {
  type: "topology",
  at: 5,
  segments: [
    { name: "seg1", addresses: ["172.31.1.1/24", "fd00:31:0:1::1/64"] },
    { name: "seg2", addresses: ["172.31.2.1/24"] },
  ],
  hosts: [
    { name: "n1", segment: "seg1", publicIps: ["172.31.1.11", "fd00:31:0:1::b"] },
    { name: "n2", segment: "seg2", publicIps: ["172.31.2.12"] },
    { name: "n3", segment: "seg1", publicIps: ["172.31.1.13"] },
  ],
  store: { name: "etcd", segment: "seg1", endpoint: "http://172.31.1.2:2379" },
};

const KEY = "/coreos.com/network/subnets/10.244.7.0-24";
const OTHER_KEY = "/coreos.com/network/subnets/10.244.8.0-24";

const RUNNING: readonly RunEvent[] = [
  { type: "agent-started", at: 20, host: "n1", pid: 11 },
  { type: "agent-started", at: 21, host: "n2", pid: 12 },
  {
    type: "lease-changed",
    at: 200,
    kind: "put",
    key: KEY,
    revision: 3,
    owner: "172.31.1.11",
    leaseId: "7587",
  },
  {
    type: "lease-changed",
    at: 240,
    kind: "put",
    key: OTHER_KEY,
    revision: 4,
    owner: "172.31.2.12",
    leaseId: "7588",
  },
  {
    type: "kernel-changed",
    at: 260,
    host: "n1",
    kind: "put",
    object: "route 10.244.8.0/24 via 10.244.8.0 dev flannel.1 onlink",
  },
  { type: "step-began", at: 1000, step: 1 },
  {
    type: "expectation-evaluated",
    at: 1800,
    step: 1,
    expectation: "pods-reach-each-other",
    verdict: "pass",
    ms: 800,
    withinMs: 10_000,
  },
  {
    type: "step-ended",
    at: 1800,
    step: 1,
    verdict: "pass",
    ms: 800,
    details: ["6 pairs answered"],
  },
  { type: "step-began", at: 1810, step: 2 },
  { type: "fault-injected", at: 1820, fault: "f1", name: "partition", target: "n2 / rest" },
  { type: "fault-verified", at: 1900, fault: "f1", saw: "no answer from n2 for 60 ms" },
  { type: "step-ended", at: 1900, step: 2, verdict: "pass", ms: 90, details: [] },
  { type: "step-began", at: 1910, step: 3 },
];

/** A run in which everything was as it should be. */
export const GOOD_RUN: readonly RunEvent[] = [
  STARTED,
  TOPOLOGY,
  ...RUNNING,
  { type: "fault-healed", at: 3900, fault: "f1" },
  { type: "fault-heal-verified", at: 4000, fault: "f1", saw: "n2 answers" },
  {
    type: "expectation-evaluated",
    at: 4500,
    step: 3,
    expectation: "kernel-equals-leases",
    verdict: "pass",
    ms: 2590,
    withinMs: 15_000,
  },
  { type: "step-ended", at: 4500, step: 3, verdict: "pass", ms: 2590, details: ["18 entries"] },
  ...probes([{ beginMs: 1830, lengthMs: 420, lost: 21 }]),
  ...["A1", "D1", "D5"].map((id): RunEvent => ({
    type: "invariant-checked",
    at: 4900,
    id,
    verdict: "pass",
    looked: 12,
    blind: false,
    detail: "12 looks",
  })),
  { type: "host-log", at: 4950, host: "n1", lines: ["subnet acquired", "ready"], omitted: 0 },
  { type: "run-ended", at: 5000, verdict: "pass" },
];

/** A run with everything in it that can go wrong, and every type of event. */
export const BAD_RUN: readonly RunEvent[] = [
  { ...STARTED, run: "run-2" },
  TOPOLOGY,
  ...RUNNING,
  {
    type: "invariant-violated",
    at: 2400,
    violatedAt: 2390,
    id: "A4",
    host: "n2",
    detail: `${KEY}: owner changed without a delete, ${HOSTILE}`,
    evidence: ["evidence/1-A4/store.json", "evidence/1-A4/packets.pcapng"],
  },
  { type: "lease-changed", at: 2400, kind: "put", key: KEY, revision: 9, owner: "172.31.2.12" },
  { type: "lease-changed", at: 2500, kind: "delete", key: OTHER_KEY, revision: 10 },
  { type: "kernel-changed", at: 2600, host: "n1", kind: "remove", object: HOSTILE },
  { type: "fault-healed", at: 3900, fault: "f1" },
  { type: "fault-not-seen", at: 4000, fault: "f1", part: "heal", detail: "n2 stays silent" },
  { type: "agent-ended", at: 4100, host: "n2", signal: "SIGKILL" },
  { type: "agent-ended", at: 4200, host: "n1", code: 1 },
  {
    type: "expectation-evaluated",
    at: 4500,
    step: 3,
    expectation: "kernel-equals-leases",
    verdict: "fail",
    ms: 2590,
    withinMs: 2500,
  },
  {
    type: "step-ended",
    at: 4500,
    step: 3,
    verdict: "fail",
    ms: 2590,
    details: [`n1: stale ${HOSTILE}`, LONG_LINE],
  },
  ...probes([
    { beginMs: 1830, lengthMs: 420, lost: 21 },
    { beginMs: 2500, lengthMs: 2000, lost: 100 },
  ]),
  {
    type: "invariant-checked",
    at: 4900,
    id: "A1",
    verdict: "pass",
    looked: 12,
    blind: false,
    detail: "12 looks",
  },
  {
    type: "invariant-checked",
    at: 4900,
    id: "D1",
    verdict: "unknown",
    looked: 0,
    blind: false,
    detail: "it was never quiet",
  },
  {
    type: "host-log",
    at: 4950,
    host: "n1",
    lines: ["subnet acquired", HOSTILE, LONG_LINE],
    omitted: 7,
  },
  { type: "host-log", at: 4950, host: "n2", lines: ["ready"], omitted: 0 },
  {
    type: "run-broke",
    at: 4960,
    phase: "steps",
    blame: "lab",
    message: `no ${HOSTILE}`,
    details: [HOSTILE],
  },
  { type: "run-ended", at: 5000, verdict: "fail" },
];

/** A set-up that failed: nothing else is known. */
export const BROKEN_SET_UP: readonly RunEvent[] = [
  { ...STARTED, run: "run-3" },
  {
    type: "run-broke",
    at: 900,
    phase: "set-up",
    blame: "lab",
    message: "etcd ended with code 1",
    details: ["no space left on device"],
  },
  { type: "machine-short", at: 905, detail: HOSTILE },
  { type: "run-ended", at: 910, verdict: "unknown" },
];

function probes(
  gaps: readonly { beginMs: number; lengthMs: number; lost: number }[],
): readonly RunEvent[] {
  const lost = gaps.reduce((sum, gap) => sum + gap.lost, 0);
  const figures = {
    type: "probe-figures",
    at: 4800,
    floor: 100,
    duplicates: 1,
    reordered: 2,
    misdelivered: 0,
  } as const;
  return [
    { ...figures, from: "n1", to: "n2", family: "ipv4", sent: 250, received: 250 - lost, gaps },
    { ...figures, from: "n1", to: "n3", family: "ipv6", sent: 250, received: 250, gaps: [] },
  ];
}

/** The text of a log. */
export function logText(events: readonly RunEvent[]): string {
  return events.map(formatEventLine).join("");
}

/** As its writers get it, out of its log. */
export function storyOf(events: readonly RunEvent[]): Story {
  return tellStory(parseEventLog(logText(events), "log"));
}
