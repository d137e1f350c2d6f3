import type { Scenario } from "lab/scenario";

export const agentsArePaused: Scenario = {
  name: "agents-are-paused",
  why: "agents that all stand still, and then wake up at once, have a past to catch up with: no timer may act on what was",
  invariants: ["A10", "B6", "C2", "D1", "D5"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1, runs: "on-request" },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 1, to: 2 },
    { fault: "pause-agent", node: 1 },
    { fault: "pause-agent", node: 2 },
    { fault: "pause-agent", node: 3 },
    { act: "add-node" },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
