/** Faults of a machine, its agent, its clocks and its kernel. */
import type { Machine, SimWorld } from "./world.ts";
import type { Strikes } from "./strikes.ts";

export const NODE_STRIKES: Strikes<
  | "crash"
  | "stop"
  | "reboot"
  | "pause"
  | "wall-jump"
  | "drift"
  | "remove-device"
  | "remove-object"
  | "swap-addresses"
  | "replace-node"
> = {
  crash(context, { seconds }, node) {
    node.crash();
    context.later(seconds, () => node.start());
    return true;
  },
  stop(context, { seconds }, node) {
    node.stop();
    context.later(seconds, () => node.start());
    return true;
  },
  reboot(context, { seconds }, node) {
    node.reboot();
    context.later(seconds, () => node.start());
    return true;
  },
  pause(context, { seconds }, node) {
    const agent = node.agent?.running === true ? node.agent : undefined;
    agent?.pause();
    context.later(seconds, () => {
      agent?.resume();
      context.touch(node);
    });
    return agent !== undefined;
  },
  "wall-jump"(_context, { variant }, node) {
    node.clockErrors.wallOffsetMs += (variant % 2 === 0 ? 1 : -1) * 25 * 3_600_000;
    return true;
  },
  drift(_context, { variant }, node) {
    node.agent?.clock.nowMs();
    node.clockErrors.rate = 0.99 + (variant % 21) / 1000;
    return true;
  },
  "remove-device"(_context, _fault, node) {
    const device = deviceOf(node);
    if (device === undefined) return false;
    node.kernel.removeInterface(device);
    return true;
  },
  "remove-object"(_context, { variant }, node) {
    void removeObject(node, variant);
    return true;
  },
  /** Two machines are given each other's addresses, and start anew with them. */
  "swap-addresses"(context, { seconds }, node) {
    const other = neighbourOf(context.world, node);
    if (other === undefined) return false;
    const [ours, theirs] = [node.addresses, other.addresses];
    node.readdress(theirs);
    other.readdress(ours);
    for (const each of [node, other]) {
      context.touch(each);
      context.later(seconds, () => each.start());
    }
    return true;
  },
  /** It leaves for good; another machine, new in everything, comes with its addresses. */
  "replace-node"(context, { seconds }, node) {
    node.replace();
    context.later(seconds, () => node.start());
    return true;
  },
};

const DEVICES = ["flannel.1", "flannel-v6.1"];

function deviceOf(node: Machine): string | undefined {
  const printed = node.kernel.print();
  return DEVICES.find((name) => printed.includes(`link ${name} `));
}

/** Deletes one of the agent's own objects behind its back. */
async function removeObject({ kernel }: Machine, variant: number): Promise<void> {
  const objects = await kernel.dump({ links: DEVICES, networks: [], sysctls: [] });
  const candidates = objects.filter(({ kind }) => kind !== "link" && kind !== "sysctl");
  const object = candidates[variant % Math.max(1, candidates.length)];
  if (object !== undefined) await kernel.apply([{ action: "remove", object }]);
}

function neighbourOf({ nodes }: SimWorld, node: Machine): Machine | undefined {
  const other = nodes[node.number % nodes.length];
  return other === node ? undefined : other;
}
