import type { Scenario } from "lab/scenario";

export const storeCompactsOften: Scenario = {
  name: "store-compacts-often",
  why: "who reconnects to an etcd that was compacted meanwhile cannot go on where it was: flannel tried that for ever, with 7.7 GB of log a day (flannel issues 2470, 2471)",
  invariants: ["C3", "C5", "D1", "D5"],
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
    { fault: "compact-often", every: "50ms" },
    { fault: "reset-connections", node: 1 },
    { act: "add-node" },
    { fault: "delete-lease", node: 3 },
    { act: "heal" },
    { fault: "compact-often", every: "50ms" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { act: "remove-node", node: 4 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { expect: "subnets-are-kept", withinMs: 2_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
