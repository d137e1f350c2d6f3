import type { Scenario } from "lab/scenario";

export const clockJumps: Scenario = {
  name: "clock-jumps",
  why: "a wall clock that is set, or goes wrong, says nothing of how long a lease lives: no subnet may be given up or taken for it",
  invariants: ["A10", "B4", "D1"],
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
    { fault: "clock-jump", node: 1, by: "48h" },
    { fault: "clock-jump", node: 2, by: "48h", towards: "past" },
    { fault: "clock-drift", node: 3, pace: 200 },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { probe: "stop", packets: 10_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
  ],
};
