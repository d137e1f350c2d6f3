import type { Scenario } from "lab/scenario";

export const hostRebootsWithoutStore: Scenario = {
  name: "host-reboots-without-store",
  why: "after a power cut nodes may be up before their store: one that waits for it has no pod network, though nothing it has to know has changed",
  invariants: ["A3", "A10", "B3'", "D1", "D5", "E2"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1 },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { act: "remember-subnets" },
    // Some seconds of peace: peers that have only just come are not yet kept.
    { probe: "start", from: 2, to: 3 },
    { probe: "stop", packets: 10_000 },
    { probe: "start", from: 2, to: 3 },
    { fault: "stop-store" },
    { fault: "reboot-host", node: 1, forMs: 200 },
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    // What it goes on with is as good for a second start.
    { fault: "restart-agent", node: 1, signal: "kill" },
    { fault: "reboot-host", node: 1, forMs: 200 },
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 10_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
  ],
};
