import type { Scenario } from "lab/scenario";

export const pauseOutlastsLease: Scenario = {
  name: "pause-outlasts-lease",
  why: "an agent that stood still for longer than its lease lived wakes up with timers that are due: it may write only after it has looked, since Node runs them before what was heard",
  invariants: ["A4", "A10", "B6", "B10", "D1"],
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
    { fault: "pause-agent", node: 1, forMs: 3_000 },
    // Before the subnet is free: it could take that one.
    { act: "add-node" },
    { fault: "expire-lease", node: 1 },
    { expect: "subnets-are-kept", withinMs: 15_000 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    // The same, and meanwhile it is another's.
    { fault: "pause-agent", node: 2, forMs: 1_000 },
    { fault: "overwrite-lease", node: 2 },
    { expect: "nobody-runs-on-anothers-lease", withinMs: 15_000 },
    { act: "start-agent", node: 2 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
