/** Injects the faults of a plan into one world, and heals them. */
import type { FaultContext } from "./fault-context.ts";
import { KERNEL_STRIKES } from "./kernel-faults.ts";
import { NETWORK_STRIKES } from "./network-faults.ts";
import { NODE_STRIKES } from "./node-faults.ts";
import type { Fault, FaultKind } from "./plan.ts";
import { STORE_STRIKES } from "./store-faults.ts";
import type { Strikes } from "./strikes.ts";

const STRIKES: Strikes<FaultKind> = {
  ...NODE_STRIKES,
  ...KERNEL_STRIKES,
  ...NETWORK_STRIKES,
  ...STORE_STRIKES,
};

/** Those that keep a node from running or from reaching the store; for the others it has no excuse. */
const DISTURBING: ReadonlySet<FaultKind> = new Set([
  "crash",
  "stop",
  "reboot",
  "pause",
  "refuse",
  "silence",
  "store-refuse",
  "store-silence",
  "reset-connections",
  "fail-over",
  "swap-addresses",
  "replace-node",
]);

/** Each fault lasts until it is healed by time or by the end of its round. */
export class Faults {
  /** How often each kind struck, in a way that could be seen. */
  readonly hit: Map<FaultKind, number> = new Map();
  readonly #context: FaultContext;

  constructor(context: FaultContext) {
    this.#context = context;
  }

  inject(fault: Fault): void {
    const { world } = this.#context;
    const node = world.nodes[fault.node % world.nodes.length];
    if (node === undefined) return;
    const { kind, seconds, variant } = fault;
    world.note(`fault ${kind} at ${node.name}, ${seconds} s, variant ${variant}`);
    const struck = STRIKES[kind](this.#context, fault, node);
    if (!struck) return;
    this.hit.set(kind, (this.hit.get(kind) ?? 0) + 1);
    if (DISTURBING.has(kind)) this.#context.touch(node);
  }

  /** Ends every fault: all nodes are up and reach the store. */
  heal(): void {
    const context = this.#context;
    const { world } = context;
    world.note("heal");
    context.healPending();
    context.storeDown = false;
    for (const node of world.nodes) {
      const { uplink } = node;
      uplink.calm();
      if (uplink.state !== "open") uplink.set("open");
      context.touch(node);
      node.agent?.resume();
      // A new configuration takes effect at the next start, as with the reference.
      if (context.configChanged) node.stop();
      if (context.configChanged) world.time.after(1000, () => node.start());
      else node.start();
    }
    context.configChanged = false;
  }
}
