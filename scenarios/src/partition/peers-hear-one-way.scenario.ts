import type { Scenario } from "lab/scenario";

export const peersHearOneWay: Scenario = {
  name: "peers-hear-one-way",
  why: "a switch or a firewall that loses one direction between two nodes: neither gives up what it knows of the other, and no third node notices",
  invariants: ["A10", "D1", "D5", "D7"],
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
    { probe: "start", from: 1, to: 3 },
    { fault: "partition-pair", node: 1, peer: 2, direction: "in" },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { act: "heal" },
    { fault: "partition-pair", node: 1, peer: 2, direction: "out" },
    // Heard of by both, through the store.
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { probe: "stop", packets: 2_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "heal" },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
  ],
};
