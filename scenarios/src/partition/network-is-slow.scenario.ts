import type { Scenario } from "lab/scenario";

export const networkIsSlow: Scenario = {
  name: "network-is-slow",
  why: "a node that is 200 ms away from its store and its peers learns of everything later: it has to learn of it all the same, and nothing of it is lost",
  invariants: ["A10", "C2", "D1", "D5"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    // Between two that are not struck.
    { probe: "start", from: 2, to: 3 },
    { fault: "delay", node: 1, ms: 200 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { act: "remove-node", node: 4 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { probe: "stop", packets: 2_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "heal" },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
  ],
};
