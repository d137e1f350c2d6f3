import type { Scenario } from "lab/scenario";

export const tokensExpire: Scenario = {
  name: "tokens-expire",
  why: "etcd's tokens live five minutes: an agent that logs in once, or takes the refusal for an empty list, is cut off an hour later",
  invariants: ["A10", "B5", "C2", "C7", "D1", "D5"],
  nodes: 3,
  storeAuth: true,
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
    { fault: "expire-tokens" },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { fault: "expire-tokens" },
    // Who lost its lease has to write.
    { fault: "delete-lease", node: 3 },
    { expect: "subnets-are-kept", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
