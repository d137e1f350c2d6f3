import type { Scenario } from "lab/scenario";

export const tunnelIsBlackHoled: Scenario = {
  name: "tunnel-is-black-holed",
  why: "a firewall that drops the tunnel of one pair says nothing: all other pairs go on, and nobody takes it for a lost lease",
  invariants: ["A10", "D1", "D5"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1, runs: "on-request" },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 1, to: 3 },
    { fault: "black-hole", node: 1, peer: 2 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "heal" },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
  ],
};
