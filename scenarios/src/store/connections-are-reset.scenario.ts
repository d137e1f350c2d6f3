import type { Scenario } from "lab/scenario";

export const connectionsAreReset: Scenario = {
  name: "connections-are-reset",
  why: "a firewall or a proxy that restarts resets every connection to etcd: the agent must go on with what it knows, and then catch up",
  invariants: ["C1", "C2", "D1", "D5"],
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
    { probe: "start", from: 1, to: 2 },
    { fault: "reset-connections", node: 1 },
    // While it cannot hear of them one node comes and one goes.
    { act: "add-node" },
    { act: "remove-node", node: 3 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 10_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
  ],
};
