import type { Scenario } from "lab/scenario";

export const storeLosesQuorum: Scenario = {
  name: "store-loses-quorum",
  why: "an etcd without a majority still answers: an agent that takes its errors for an empty list, or gives up, cuts its node off (flannel issue 2554)",
  invariants: ["A10", "B5", "C7", "D1", "D5", "E5"],
  nodes: 3,
  storeMembers: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 1, to: 2 },
    { fault: "lose-quorum" },
    // It cannot be ready without the store, and must leave alone what it finds.
    { fault: "restart-agent", node: 3 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "heal" },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
