import type { Scenario } from "lab/scenario";

export const networkIsRenumbered: Scenario = {
  name: "network-is-renumbered",
  why: "a node whose subnet no longer fits the network config takes another at its start: if the old key stays, it owns two, and others send to both",
  invariants: ["A2", "A3", "A8", "D1"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "vxlan", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { fault: "change-config", config: "network" },
    { fault: "rolling-restart" },
    { expect: "kernel-equals-leases", withinMs: 10_000 },
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    // And back again.
    { act: "heal" },
    { fault: "rolling-restart", signal: "kill" },
    { expect: "kernel-equals-leases", withinMs: 10_000 },
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    // Pods that are made anew all the time are not probed long enough.
    { probe: "start", from: 1, to: 2 },
    { probe: "stop", packets: 10_000 },
    { expect: "no-packet-lost", withinMs: 0 },
  ],
};
