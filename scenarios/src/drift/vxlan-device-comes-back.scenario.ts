import type { Scenario } from "lab/scenario";

export const vxlanDeviceComesBack: Scenario = {
  name: "vxlan-device-comes-back",
  why: "flannel makes the device anew but not the entries of the peers it knew, and gives it another MAC (vxlan_network.go, reCreateVxlan)",
  invariants: ["D1", "D10"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { fault: "delete-link", node: 1, link: "flannel.1" },
    // The leases still name the old MAC: only with that one does every peer's kernel equal them.
    { expect: "repaired", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { fault: "change-mac", node: 2, link: "flannel.1" },
    { expect: "repaired", withinMs: 1_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
