import type { Scenario } from "lab/scenario";

export const peerMacChanges: Scenario = {
  name: "peer-mac-changes",
  why: "frames for a VTEP whose hardware address was changed are thrown away until the address or every peer follows (flannel issue 1788)",
  invariants: ["D5", "D11"],
  nodes: 2,
  variants: [
    { backend: "vxlan", family: "v4", segments: 1 },
    { backend: "vxlan", family: "dual", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { probe: "start", from: 1, to: 2 },
    { fault: "change-mac", node: 2, link: "flannel.1" },
    { expect: "repaired", withinMs: 1_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "gap-at-most", withinMs: 1_000 },
  ],
};
