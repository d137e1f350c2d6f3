import type { Scenario } from "lab/scenario";

export const storeMemberIsIsolated: Scenario = {
  name: "store-member-is-isolated",
  why: "a member in the minority answers its clients with what was true before, and never with what changed: who is connected to it must leave it, and believe no older list",
  invariants: ["A10", "B5", "C2", "C9", "D1", "D5"],
  nodes: 3,
  storeMembers: 3,
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
    { fault: "isolate-member", member: "leader" },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 15_000 },
    { act: "heal" },
    { fault: "isolate-member", member: "follower" },
    { act: "remove-node", node: 4 },
    { fault: "delete-lease", node: 3 },
    { expect: "subnets-are-kept", withinMs: 15_000 },
    { expect: "kernel-equals-leases", withinMs: 15_000 },
    { act: "heal" },
    { probe: "stop", packets: 2_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
