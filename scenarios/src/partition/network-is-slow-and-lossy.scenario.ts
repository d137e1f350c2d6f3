import type { Scenario } from "lab/scenario";

export const networkIsSlowAndLossy: Scenario = {
  name: "network-is-slow-and-lossy",
  why: "where answers come late and every third packet is lost, a client that takes silence for the end of its store ends too early, or asks without end",
  invariants: ["A10", "B5", "C2", "D1", "E5"],
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
    { fault: "delay", node: 1, ms: 200 },
    { fault: "loss", node: 1, percent: 30 },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 20_000 },
    { act: "heal" },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
  ],
};
