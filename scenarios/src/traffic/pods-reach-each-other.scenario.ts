import type { Scenario } from "lab/scenario";

export const podsReachEachOther: Scenario = {
  name: "pods-reach-each-other",
  why: "what a fabric is for; every other scenario starts from it",
  invariants: ["A1", "A2", "A12", "D1", "D9", "E2"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "v4", segments: 1 },
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 2 },
    { backend: "vxlan", family: "dual", segments: 2 },
    { backend: "vxlan", family: "v4", segments: 2, backendOptions: { DirectRouting: true } },
    { backend: "vxlan", family: "dual", segments: 2, backendOptions: { DirectRouting: true } },
    { backend: "host-gw", family: "v4", segments: 1 },
    { backend: "host-gw", family: "dual", segments: 1 },
    // A router between two nodes knows no pod subnet: host-gw promises only the pairs on one segment.
    { backend: "host-gw", family: "v4", segments: 2, reach: "same-segment" },
    { backend: "host-gw", family: "dual", segments: 2, reach: "same-segment" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
  ],
};
