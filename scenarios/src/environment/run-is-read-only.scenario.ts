import type { Scenario } from "lab/scenario";

export const runIsReadOnly: Scenario = {
  name: "run-is-read-only",
  why: "a /run that cannot be written to is no reason to stop routing; what could not be said in subnet.env is to be said as soon as it can",
  invariants: ["D1", "D8", "E1", "E2"],
  nodes: 2,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1, runs: "on-request" },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { fault: "read-only-run", node: 1, forMs: 2_000 },
    { fault: "change-mtu", node: 1, mtu: 1400 },
    { fault: "change-mtu", node: 2, mtu: 1400 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    // Not before the file can be written again.
    { expect: "largest-packet-is-mtu", withinMs: 10_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
