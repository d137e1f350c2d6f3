import type { Scenario } from "lab/scenario";

export const mtuChanges: Scenario = {
  name: "mtu-changes",
  why: "an MTU that is read once is wrong after the underlay's is changed: large packets vanish",
  invariants: ["D8"],
  nodes: 2,
  variants: [
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1 },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { fault: "change-mtu", node: 1, mtu: 1400 },
    { fault: "change-mtu", node: 2, mtu: 1400 },
    { expect: "largest-packet-is-mtu", withinMs: 5_000 },
    { act: "heal" },
    { expect: "largest-packet-is-mtu", withinMs: 5_000 },
  ],
};
