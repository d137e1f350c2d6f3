import type { Scenario } from "lab/scenario";

export const framesAreDamaged: Scenario = {
  name: "frames-are-damaged",
  why: "a bad cable turns bits around, a bad switch changes the order of frames: what an agent says to its store arrives whole or not at all, and what it hears it never takes for something else",
  invariants: ["A10", "A13", "C2", "D1", "D6"],
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
    { fault: "corrupt", node: 1, percent: 10 },
    { fault: "jitter", node: 2, ms: 30 },
    { fault: "reorder", node: 3, percent: 30 },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 20_000 },
    { act: "remove-node", node: 4 },
    { expect: "kernel-equals-leases", withinMs: 20_000 },
    { act: "heal" },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
  ],
};
