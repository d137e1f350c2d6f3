import type { Scenario } from "lab/scenario";

export const peerReturnsAsNew: Scenario = {
  name: "peer-returns-as-new",
  why: "a node that is installed anew keeps its address and has another VTEP MAC: flannel's peers keep the old one (flannel issues 533, 1330, 1795)",
  invariants: ["D1", "D4", "D5"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { act: "remove-node", node: 2 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { act: "return-node", node: 2 },
    { expect: "kernel-equals-leases", withinMs: 1_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
