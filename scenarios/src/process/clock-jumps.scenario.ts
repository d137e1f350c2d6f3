import type { Scenario } from "lab/scenario";

export const clockJumps: Scenario = {
  name: "clock-jumps",
  why: "a wall clock that is set, or goes wrong, says nothing of how long a lease lives: no subnet may be given up or taken for it",
  invariants: ["A10", "B4", "D1"],
  nodes: 4,
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
    // More than a lease lives, and less.
    { fault: "clock-jump", node: 1, by: "25h" },
    { fault: "clock-jump", node: 2, by: "25h", towards: "past" },
    { fault: "clock-jump", node: 3, by: "1h" },
    { fault: "clock-jump", node: 4, by: "1h", towards: "past" },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
  ],
};
