/** Faults of a machine, its agent and its clocks. */
import type { Machine, SimWorld } from "./world.ts";
import type { Strikes } from "./strikes.ts";

export const NODE_STRIKES: Strikes<
  "crash" | "stop" | "reboot" | "pause" | "wall-jump" | "drift" | "swap-addresses" | "replace-node"
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

function neighbourOf({ nodes }: SimWorld, node: Machine): Machine | undefined {
  const other = nodes[node.number % nodes.length];
  return other === node ? undefined : other;
}
