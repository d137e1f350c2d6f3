import type { Scenario } from "lab/scenario";

export const storeIsFull: Scenario = {
  name: "store-is-full",
  why: "a full etcd renews and deletes, and takes no writes: whoever lost its lease meanwhile must take the same subnet again when there is room",
  invariants: ["A10", "B1", "B8", "D1", "D5"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 1, to: 2 },
    { fault: "fill-store" },
    { fault: "delete-lease", node: 3 },
    // Refused for want of room it has to wait: an agent that ends there is gone for good on some machines.
    { fault: "restart-agent", node: 3 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "heal" },
    { expect: "subnets-are-kept", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
