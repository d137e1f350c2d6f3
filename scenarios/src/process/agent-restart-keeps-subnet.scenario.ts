import type { Scenario } from "lab/scenario";

export const agentRestartKeepsSubnet: Scenario = {
  name: "agent-restart-keeps-subnet",
  why: "an upgrade or a crash of the agent must renumber no pod and lose no packet (flannel issues 2237, 1002)",
  invariants: ["A10", "D1", "D5", "E1", "E4"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "v4", segments: 1 },
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "host-gw", family: "v4", segments: 1 },
    { backend: "host-gw", family: "dual", segments: 1 },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 1, to: 2 },
    { fault: "kill-agent", node: 1 },
    { act: "start-agent", node: 1 },
    { fault: "stop-agent", node: 2 },
    { act: "start-agent", node: 2 },
    { fault: "kill-agent", node: 2 },
    { act: "start-agent", node: 2 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
