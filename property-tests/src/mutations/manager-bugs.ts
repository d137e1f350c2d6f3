/** What the reference does wrong between its subnet manager and the rest of it, as a wrapped subnet manager. */
import type { Ip } from "agent/core/ip.ts";
import type { Lease } from "agent/core/lease.ts";
import type { SubnetManager } from "agent/subnet-manager/subnet-manager.ts";
import type { MutatedNode, PortMutation } from "./port-mutation.ts";
import { isList, wrapped } from "./wrapped.ts";

const listed = new WeakMap<MutatedNode, number>();

/**
 * A list after a watch forgets which lease is the own one. The reference then tells its backend that the own lease was removed;
 * this port says whole sets of peers, where the same confusion makes it one of them.
 * Source: flannel pkg/lease/lease.go LeaseWatcher.Reset.
 */
export const relistForgetsWhichIsOwn: PortMutation = {
  wrapStore: (store, node) => {
    listed.set(node, 0);
    let watched = false;
    return wrapped(store, {
      range: async (range, options) => {
        const result = await store.range(range, options);
        if (watched && isList(range)) listed.set(node, (listed.get(node) ?? 0) + 1);
        return result;
      },
      watch: (range, fromRevision, options) => {
        watched ||= isList(range);
        return store.watch(range, fromRevision, options);
      },
    });
  },
  wrapSubnetManager: (manager, node) => ({
    ...verbsOf(manager),
    async *watchPeers(own, signal): AsyncGenerator<readonly Lease[]> {
      for await (const peers of manager.watchPeers(own, signal))
        yield (listed.get(node) ?? 0) > 0 ? [...peers, own] : peers;
    },
  }),
};

/**
 * An agent without a lease says that it is healthy, as the reference does from its start on.
 * Source: flannel main.go mustRunHealthz.
 */
export const readyWithoutItsKey: PortMutation = {
  wrapSubnetManager: (manager) => ({
    ...verbsOf(manager),
    keepLease: (lease, _onHeld, ...words) => manager.keepLease(lease, () => undefined, ...words),
  }),
};

/** Nobody's. */
const FORMER_ADDRESS = "2001:db8::ee" as Ip;

/** The lease names an IPv6 address that the node has no more, and the node does not see that. */
export const publishesAFormerAddress: PortMutation = {
  wrapSubnetManager: (manager) => ({
    ...verbsOf(manager),
    acquireLease: async (config, wanted, ...words) => {
      const { 6: publicIp, ...rest } = wanted.publicIps;
      const former = publicIp === undefined ? rest : { ...rest, 6: FORMER_ADDRESS };
      const lease = await manager.acquireLease(config, { ...wanted, publicIps: former }, ...words);
      return { ...lease, publicIps: wanted.publicIps };
    },
  }),
};

/** Longer than a lease change may take to be programmed. */
const LATE_MS = 3_000;

/** All news of peers but the first list are passed on late. */
export const passesPeersOnLate: PortMutation = {
  wrapSubnetManager: (manager, { world }) => ({
    ...verbsOf(manager),
    async *watchPeers(own, signal): AsyncGenerator<readonly Lease[]> {
      let isFirst = true;
      for await (const peers of manager.watchPeers(own, signal)) {
        if (!isFirst) await new Promise<void>((resolve) => world.time.after(LATE_MS, resolve));
        isFirst = false;
        yield peers;
      }
    },
  }),
};

export function verbsOf(manager: SubnetManager): SubnetManager {
  return {
    name: manager.name,
    networkConfig: (signal) => manager.networkConfig(signal),
    previousLeases: (publicIps, signal) => manager.previousLeases(publicIps, signal),
    publish: (attributes, signal) => manager.publish(attributes, signal),
    acquireLease: (...words) => manager.acquireLease(...words),
    keepLease: (...words) => manager.keepLease(...words),
    held: manager.held,
    watchPeers: (own, signal) => manager.watchPeers(own, signal),
    state: () => manager.state(),
    reconnect: () => manager.reconnect(),
    close: () => manager.close(),
  };
}
