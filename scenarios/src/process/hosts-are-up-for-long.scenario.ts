import type { Scenario } from "lab/scenario";

export const hostsAreUpForLong: Scenario = {
  name: "hosts-are-up-for-long",
  why: "milliseconds since a machine came up outgrow 31 bits after 25 days and 32 bits after 50: a timer that does not bear it fires at once, or never",
  invariants: ["A10", "B5", "B7", "D1", "D5"],
  nodes: 4,
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
    // Each passes by while the probe runs.
    { fault: "long-uptime", node: 1, up: "2147482s" },
    { fault: "long-uptime", node: 2, up: "4294966s" },
    // More than a year.
    { fault: "long-uptime", node: 3, up: "9600h" },
    { act: "add-node" },
    { probe: "stop", packets: 5_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
  ],
};
