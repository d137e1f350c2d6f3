import type { Scenario } from "lab/scenario";

export const leftoversGoAtStart: Scenario = {
  name: "leftovers-go-at-start",
  why: "what led to a node that left while the agent was down stays in the kernel for ever (flannel issue 2554)",
  invariants: ["D1"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "host-gw", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { fault: "kill-agent", node: 1 },
    { act: "remove-node", node: 3 },
    { act: "start-agent", node: 1 },
    { expect: "kernel-equals-leases", withinMs: 1_000 },
    { fault: "stop-agent", node: 1 },
    { act: "add-node" },
    { act: "start-agent", node: 1 },
    { expect: "kernel-equals-leases", withinMs: 1_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
