import type { Scenario } from "lab/scenario";

export const storeMemberDies: Scenario = {
  name: "store-member-dies",
  why: "a member of etcd that dies or stands still takes the agents that were connected to it along, unless they go to another one in time",
  invariants: ["A10", "B5", "C2", "D1", "D5"],
  nodes: 3,
  storeMembers: 3,
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
    { fault: "stop-member", member: "leader" },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { act: "heal" },
    // Whoever is connected to it is told nothing: not that it is gone, and not what changed.
    { fault: "pause-member", member: "leader" },
    { act: "remove-node", node: 4 },
    { expect: "kernel-equals-leases", withinMs: 30_000 },
    { act: "heal" },
    { fault: "change-leader" },
    { fault: "delete-lease", node: 3 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
