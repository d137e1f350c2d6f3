import type { Scenario } from "lab/scenario";

export const agentIsThrottled: Scenario = {
  name: "agent-is-throttled",
  why: "a machine that is overloaded gives its agent a tenth of the time: it is late, and still right",
  invariants: ["A10", "C2", "D1", "D5"],
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
    { probe: "start", from: 2, to: 3 },
    { fault: "throttle-agent", node: 1, percent: 10 },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 20_000 },
    { fault: "delete-lease", node: 1 },
    { expect: "subnets-are-kept", withinMs: 20_000 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
