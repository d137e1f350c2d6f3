import type { Scenario } from "lab/scenario";

export const allHostsReboot: Scenario = {
  name: "all-hosts-reboot",
  why: "after a power cut all nodes start at once, and find their own leases in the store",
  invariants: ["A3", "A8", "A10", "D1", "E2"],
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
    { fault: "reboot-host", node: 1 },
    { fault: "reboot-host", node: 2 },
    { fault: "reboot-host", node: 3 },
    { act: "heal" },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
