import type { Scenario } from "lab/scenario";

export const configChangesUnderAgents: Scenario = {
  name: "config-changes-under-agents",
  why: "a network config that is edited, emptied or lost while agents run is no reason to give a subnet up: flannel reads it at its start only",
  invariants: ["A10", "B10", "D1"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1 },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 1, to: 2 },
    { fault: "change-config", config: "network" },
    { expect: "kernel-equals-leases", withinMs: 1_000 },
    { fault: "change-config", config: "backend" },
    { expect: "kernel-equals-leases", withinMs: 1_000 },
    { fault: "change-config", config: "unreadable" },
    { expect: "kernel-equals-leases", withinMs: 1_000 },
    { fault: "change-config", config: "gone" },
    // Renewed, and heard of by all, without a config.
    { fault: "delete-lease", node: 3 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { act: "heal" },
    { fault: "kill-agent", node: 1 },
    { act: "start-agent", node: 1 },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { probe: "stop", packets: 6_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
