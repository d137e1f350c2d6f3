import type { Scenario } from "lab/scenario";

export const largestPacket: Scenario = {
  name: "largest-packet",
  why: "a device whose MTU is too large for its underlay, IPv6 above all, loses every large packet (flannel takes 50 bytes off for IPv6 too)",
  invariants: ["D8"],
  nodes: 2,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { expect: "largest-packet-is-mtu", withinMs: 2_000 },
  ],
};
