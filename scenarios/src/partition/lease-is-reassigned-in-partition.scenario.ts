import type { Scenario } from "lab/scenario";

export const leaseIsReassignedInPartition: Scenario = {
  name: "lease-is-reassigned-in-partition",
  why: "a node that is cut off cannot know that its subnet is another's by now: when it hears of it, it may not write over that, nor go on with it",
  invariants: ["A3", "A4", "B1", "B3'", "D1", "D5"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1, runs: "on-request" },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { probe: "start", from: 2, to: 3 },
    { fault: "partition", node: 1, from: "store", forMs: 1_500 },
    { fault: "overwrite-lease", node: 1 },
    { expect: "nobody-runs-on-anothers-lease", withinMs: 30_000 },
    { probe: "stop", packets: 2_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "start-agent", node: 1 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
  ],
};
