import type { Scenario } from "lab/scenario";

export const poisonKeysChangeNothing: Scenario = {
  name: "poison-keys-change-nothing",
  why: "one entry that flannel cannot read makes its list of leases an empty one: every route on every node goes (pkg/subnet/etcd/local_manager.go, Reset of nothing)",
  invariants: ["A13", "C7", "D1"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1 },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 1, to: 2 },
    { fault: "poison-key", poison: "name" },
    { fault: "poison-key", poison: "address" },
    { fault: "poison-key", poison: "length" },
    { fault: "poison-key", poison: "text" },
    { fault: "poison-key", poison: "empty" },
    { fault: "poison-key", poison: "null" },
    { fault: "poison-key", poison: "types" },
    { fault: "poison-key", poison: "huge" },
    { act: "add-node" },
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    // One that starts reads all of it at once.
    { fault: "kill-agent", node: 1 },
    { act: "start-agent", node: 1 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
  ],
};
