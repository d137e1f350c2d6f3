import type { Scenario } from "lab/scenario";

export const clusterIsUpgraded: Scenario = {
  name: "cluster-is-upgraded",
  why: "an upgrade ends and starts every agent of a cluster in turn: no subnet may change, and no packet be lost",
  invariants: ["A10", "D1", "D5", "E4"],
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
    { probe: "start", from: 1, to: 4 },
    { fault: "rolling-restart" },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { fault: "rolling-restart", signal: "kill" },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
