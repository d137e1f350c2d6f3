import type { Scenario } from "lab/scenario";

export const rollingRestart: Scenario = {
  name: "rolling-restart",
  why: "an upgrade restarts the agents of a cluster one after the other, and sometimes several at once: no pod may notice",
  invariants: ["A10", "D1", "D5", "E4"],
  nodes: 4,
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
    // The next one goes before the one before it has said that it is ready.
    { fault: "restart-agent", node: 1 },
    { fault: "restart-agent", node: 2 },
    { fault: "restart-agent", node: 3, signal: "kill" },
    { fault: "restart-agent", node: 4 },
    { expect: "kernel-equals-leases", withinMs: 10_000 },
    { expect: "subnets-are-kept", withinMs: 10_000 },
    { fault: "restart-agent", node: 1, signal: "kill" },
    { fault: "restart-agent", node: 2 },
    { probe: "stop", packets: 10_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "kernel-equals-leases", withinMs: 10_000 },
    { expect: "subnets-are-kept", withinMs: 10_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
