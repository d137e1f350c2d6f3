import type { Scenario } from "lab/scenario";

export const clockStrobes: Scenario = {
  name: "clock-strobes",
  why: "a wall clock that two time servers fight over is another one every tenth of a second, and no clock goes as fast as the next one: who asks it how long a lease has lived gives subnets up",
  invariants: ["A10", "B4", "D1", "D5"],
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
    { fault: "clock-strobe", node: 1, by: "25h" },
    { fault: "clock-drift", node: 2, pace: 200 },
    { fault: "clock-drift", node: 3, pace: 50 },
    { act: "add-node" },
    { fault: "delete-lease", node: 1 },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { probe: "stop", packets: 2_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "heal" },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
