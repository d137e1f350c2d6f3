import type { Scenario } from "lab/scenario";

export const linkFlaps: Scenario = {
  name: "link-flaps",
  why: "the kernel forgets routes and IPv6 addresses of a link that goes down, and does not put them back when it comes up",
  invariants: ["D1", "D5"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1 },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { fault: "link-flap", node: 2, side: "host" },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { fault: "link-flap", node: 2, side: "switch" },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
