import type { Kernel } from "agent/kernel/kernel.ts";
import type { KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";
import type { SubnetManager } from "agent/subnet-manager/subnet-manager.ts";
import type { Clock } from "agent/system/clock.ts";
import type { Files } from "agent/system/files.ts";
import type { AgentProcess } from "../sim/actors.ts";
import type { SimNode } from "../sim/world.ts";

/** What a wrapper may know of the node that its agent runs on: of a simulated one the part that a real one has, too. */
export interface MutatedNode extends Pick<SimNode, "publicIp"> {
  readonly agent: Pick<AgentProcess, "lease" | "ready"> | undefined;
  readonly world: { readonly time: { after(ms: number, act: () => void): unknown } };
}

/** A `Mutation` that needs no simulated world. */
export interface PortMutation {
  readonly wrapStore?: ((store: KeyValueStore, node: MutatedNode) => KeyValueStore) | undefined;
  readonly wrapKernel?: ((kernel: Kernel, node: MutatedNode) => Kernel) | undefined;
  readonly wrapSubnetManager?:
    | ((manager: SubnetManager, node: MutatedNode) => SubnetManager)
    | undefined;
  /** The clock that the agent goes by; its connection to the store keeps its own. */
  readonly wrapClock?: ((clock: Clock, node: MutatedNode) => Clock) | undefined;
  readonly wrapFiles?: ((files: Files, node: MutatedNode) => Files) | undefined;
}
