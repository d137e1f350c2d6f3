import type { Scenario } from "lab/scenario";

export const hostReboots: Scenario = {
  name: "host-reboots",
  why: "a machine that reboots has lost /run and every kernel object: its node must come back with the same subnet, reachable by all",
  invariants: ["A10", "D1", "D5", "E2"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1 },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 2, to: 3 },
    { fault: "reboot-host", node: 1 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { fault: "reboot-host", node: 1, run: "kept" },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { probe: "stop", packets: 2_000 },
    { expect: "no-packet-lost", withinMs: 0 },
  ],
};
