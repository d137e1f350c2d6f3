import type { Scenario } from "lab/scenario";

export const fiftyJoinAtOnce: Scenario = {
  name: "fifty-join-at-once",
  why: "a rack that is switched on: fifty nodes race for subnets, all but one lose each round, and flannel ends after a lost race; those that were there must learn of all of them, and forget them again",
  invariants: ["A1", "A3", "A8", "C3", "D1", "D5", "E5"],
  nodes: 2,
  // By far the most expensive: the race for leases is that of the families, whatever the backend.
  variants: [
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
  ],
  // Not every pod is asked for every other one: the kernel has one table of neighbours for the namespaces of all hosts, too small for that.
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 1, to: 2 },
    { fault: "join-storm", hosts: 50 },
    { expect: "kernel-equals-leases", withinMs: 10_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
  ],
};
