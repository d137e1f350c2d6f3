import type { Scenario } from "lab/scenario";

export const addressChanges: Scenario = {
  name: "address-changes",
  why: "flannel reads the external interface once: a node that is renumbered is unreachable until flanneld restarts (users restart it by cron)",
  invariants: ["D1", "D5", "A3"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1 },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { act: "remember-subnets" },
    { fault: "change-address", node: 2 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
