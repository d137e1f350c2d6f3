import type { Scenario } from "lab/scenario";

export const foreignObjectsStay: Scenario = {
  name: "foreign-objects-stay",
  why: "an agent that cleans up by guess takes away the routes and devices of others (calico, kube-router and flannel share nodes)",
  invariants: ["D2", "D9"],
  nodes: 2,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "host-gw", family: "v4", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { fault: "foreign-route", node: 1 },
    { fault: "foreign-device", node: 1 },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { act: "remove-node", node: 3 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { expect: "foreign-objects-stay", withinMs: 0 },
    { fault: "kill-agent", node: 1 },
    { act: "start-agent", node: 1 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { expect: "foreign-objects-stay", withinMs: 0 },
    { fault: "stop-agent", node: 1 },
    { expect: "foreign-objects-stay", withinMs: 0 },
    { act: "start-agent", node: 1 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
