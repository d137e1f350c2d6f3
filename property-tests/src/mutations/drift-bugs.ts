/** What can be wrong with repairing what others did to a kernel, and with programming it in time, as wrapped kernels. */
import { parseMac } from "agent/core/mac.ts";
import type { Change, Kernel, KernelEvent, KernelObject } from "agent/kernel/kernel.ts";
import { identityOf } from "agent/kernel/reconcile.ts";
import type { MutatedNode } from "./port-mutation.ts";
import { type WrapKernel, wrapped } from "./kernel-bugs.ts";

/** Longer than a lease change may take to be programmed. */
const LATE_MS = 3_000;

/** Once a node is ready, its changes wait for something else first. */
export const programsLate = (kernel: Kernel, node: MutatedNode): Kernel =>
  wrapped(kernel, {
    apply: async (changes) => {
      const { time } = node.world;
      if (node.agent?.ready === true)
        await new Promise<void>((resolve) => time.after(LATE_MS, resolve));
      return kernel.apply(changes);
    },
  });

/** Kernel events are not subscribed to: drift is found by sweeps only. */
export const deafToKernelEvents: WrapKernel = (kernel) =>
  wrapped(kernel, {
    async *watch(signal): AsyncGenerator<KernelEvent> {
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      yield* [];
    },
  });

/** A sweep takes the dump before it for granted as long as the kernel tells of nothing. */
export const trustsTheLastDump: WrapKernel = (kernel) => {
  let dumps = new Map<string, readonly KernelObject[]>();
  return wrapped(kernel, {
    dump: async (scope) => {
      const key = JSON.stringify(scope);
      const objects = dumps.get(key) ?? (await kernel.dump(scope));
      dumps.set(key, objects);
      return objects;
    },
    apply: async (changes) => {
      dumps = new Map();
      const results = await kernel.apply(changes);
      dumps = new Map();
      return results;
    },
    async *watch(signal): AsyncGenerator<KernelEvent> {
      for await (const event of kernel.watch(signal)) {
        dumps = new Map();
        yield event;
      }
    },
  });
};

/** An object that is there counts as right, whatever is in it. */
export const overlooksAlteredObjects: WrapKernel = (kernel) => {
  const put = new Map<string, KernelObject>();
  return wrapped(kernel, {
    dump: async (scope) =>
      (await kernel.dump(scope)).map((object) => put.get(identityOf(object)) ?? object),
    apply: (changes) => {
      for (const { action, object } of changes)
        if (action === "put") put.set(identityOf(object), object);
        else put.delete(identityOf(object));
      return kernel.apply(changes);
    },
  });
};

const ANOTHER_MAC = parseMac("0e:aa:aa:aa:aa:aa");

/**
 * A device that is made anew has another MAC than the one that the lease names, and the agent does not see that.
 * Source: flannel pkg/backend/vxlan/vxlan_network.go reCreateVxlan.
 */
export const newMacWithNewDevice: WrapKernel = (kernel) => {
  /** The devices made so far, as they were asked for. */
  const made = new Map<string, Change>();
  const again = new Set<string>();
  return wrapped(kernel, {
    dump: async (scope) =>
      (await kernel.dump(scope)).map((object) => {
        const wanted = object.kind === "link" ? made.get(object.name)?.object : undefined;
        return object.kind === "link" && wanted?.kind === "link" && again.has(object.name)
          ? { ...object, mac: wanted.mac }
          : object;
      }),
    apply: async (changes) => {
      const { interfaces } = await kernel.interfaces();
      const present = new Set(interfaces.map(({ name }) => name));
      const asked = changes.map((change): Change => {
        const { action, object } = change;
        if (action !== "put" || object.kind !== "link") return change;
        if (made.has(object.name) && !present.has(object.name)) again.add(object.name);
        made.set(object.name, change);
        return again.has(object.name)
          ? { action, object: { ...object, mac: ANOTHER_MAC } }
          : change;
      });
      return kernel.apply(asked);
    },
  });
};

/**
 * A device that is made anew stays without the peers it had, which the agent takes for there.
 * Source: flannel pkg/backend/vxlan/vxlan_network.go reCreateVxlan.
 */
export const newDeviceWithoutPeers: WrapKernel = (kernel) => {
  const peers = new Map<string, KernelObject>();
  /** Of those, what went with a device. */
  const gone = new Map<string, KernelObject>();
  const made = new Set<string>();
  return wrapped(kernel, {
    dump: async (scope) => {
      const objects = await kernel.dump(scope);
      return [...objects.filter((object) => !gone.has(identityOf(object))), ...gone.values()];
    },
    apply: async (changes) => {
      const present = new Set((await kernel.interfaces()).interfaces.map(({ name }) => name));
      for (const { action, object } of changes) {
        if (object.kind === "link" && action === "put") {
          if (made.has(object.name) && !present.has(object.name))
            for (const [identity, peer] of peers) gone.set(identity, peer);
          made.add(object.name);
        } else if (isOfPeer(object)) {
          if (action === "put") peers.set(identityOf(object), object);
          else for (const known of [peers, gone]) known.delete(identityOf(object));
        }
      }
      const isDone = ({ object }: Change): boolean => gone.has(identityOf(object));
      await kernel.apply(changes.filter((change) => !isDone(change)));
      return changes.map(() => ({}));
    },
  });
};

function isOfPeer({ kind }: KernelObject): boolean {
  return kind === "route" || kind === "neighbour" || kind === "fdb";
}
