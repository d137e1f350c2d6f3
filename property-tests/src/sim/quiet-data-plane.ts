/** What is looked at of the data plane when all is quiet, beside the kernel's objects themselves (invariants D7 and D8). */
import type { NetworkConfig } from "agent/core/network-config.ts";
import { SUBNET_FILE, type SimNode } from "./actors.ts";
import { largestOverheadBytes, peerSubnets } from "./expected-kernel.ts";
import type { Forwarding } from "./forwarding.ts";
import type { InvariantId } from "./invariants.ts";
import type { StoredSubnets } from "./stored.ts";

interface Checker {
  check(id: InvariantId, holds: boolean, detail: () => string): void;
}

/** Packets for each peer's subnet end at its owner. */
export function checkWays(
  checks: Checker,
  node: SimNode,
  facts: {
    readonly config: NetworkConfig;
    readonly live: readonly StoredSubnets[];
    readonly forwarding: Forwarding;
  },
): void {
  for (const subnet of peerSubnets(node, facts.config, facts.live)) {
    const { arrives, path } = facts.forwarding.way(node, subnet);
    const { block, owner } = subnet;
    checks.check("D7", arrives, () => `packets for ${block.text} of ${owner} go ${path}`);
  }
}

/** Pods are told what fits through the smallest of the tunnel devices, or over the card where there is none. */
export function checkMtu(checks: Checker, node: SimNode, config: NetworkConfig): void {
  const text = node.files.texts.get(SUBNET_FILE) ?? "";
  const told = Number(/^FLANNEL_MTU=(\d+)$/m.exec(text)?.[1]);
  const wanted = node.mtu - largestOverheadBytes(config);
  const links = node.kernel.print().matchAll(/^link (flannel\S+) .* mtu (\d+)/gm);
  const ofDevices =
    config.backendType === "vxlan" ? [...links].map(([, , mtu]) => Number(mtu)) : [];
  const smallest = config.backendType === "vxlan" ? Math.min(...ofDevices) : wanted;
  checks.check(
    "D8",
    told === wanted && smallest === wanted,
    () =>
      `${node.name} tells pods MTU ${told}, its devices have ${ofDevices.join(" and ")}: not ${wanted}`,
  );
}
