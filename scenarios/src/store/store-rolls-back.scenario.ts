import type { Scenario } from "lab/scenario";

export const storeRollsBack: Scenario = {
  name: "store-rolls-back",
  why: "an etcd that was restored from a backup has forgotten leases, and counts its revisions again: a watch that goes on where it was hears nothing any more",
  invariants: ["A1", "A3", "A10", "C9", "D1", "D5"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { fault: "roll-back-store" },
    { act: "add-node" },
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 1, to: 2 },
    // The store has never heard of n4, which runs with a subnet of its own.
    { act: "heal" },
    { expect: "subnets-are-kept", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
