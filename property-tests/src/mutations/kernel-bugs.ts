/** What the reference does wrong with what is in the kernel, as wrapped kernels. */
import { familyOf } from "agent/core/ip.ts";
import type { Cidr, Ip } from "agent/core/ip.ts";
import type { Change, Kernel, KernelObject } from "agent/kernel/kernel.ts";
import { identityOf } from "agent/kernel/reconcile.ts";
import type { MutatedNode } from "./port-mutation.ts";

export type WrapKernel = (kernel: Kernel) => Kernel;

/** A kernel that does some verbs otherwise. */
export function wrapped(kernel: Kernel, verbs: Partial<Kernel>): Kernel {
  return {
    dump: (scope) => kernel.dump(scope),
    apply: (changes) => kernel.apply(changes),
    watch: (signal) => kernel.watch(signal),
    hasNexthops: () => kernel.hasNexthops(),
    routesTo: (destinations) => kernel.routesTo(destinations),
    interfaces: () => kernel.interfaces(),
    ...verbs,
  };
}

/** Routes that a predecessor left are not looked at. Source: flannel issue 2554. */
export const ignoresLeftRoutes: WrapKernel = (kernel) => {
  const made = new Set<string>();
  return wrapped(kernel, {
    dump: async (scope) => {
      const objects = await kernel.dump(scope);
      return objects.filter((object) => object.kind !== "route" || made.has(object.destination));
    },
    apply: (changes) => {
      for (const { object } of changes) if (object.kind === "route") made.add(object.destination);
      return kernel.apply(changes);
    },
  });
};

/** A neighbour once known keeps its MAC. Source: flannel issues 533, 1330, 1788, 1795. */
export const keepsOldMac: WrapKernel = (kernel) => {
  const known = new Set<string>();
  return wrapped(kernel, {
    dump: async (scope) =>
      (await kernel.dump(scope)).filter(
        (object) => object.kind !== "neighbour" || !known.has(object.address),
      ),
    apply: async (changes) => {
      const isNews = ({ action, object }: Change): boolean => {
        if (object.kind !== "neighbour" || action === "remove") return true;
        const isNew = !known.has(object.address);
        known.add(object.address);
        return isNew;
      };
      const news = changes.filter(isNews);
      const results = await kernel.apply(news);
      const told = new Map(news.map((change, index) => [change, results[index]]));
      return changes.map((change) => told.get(change) ?? {});
    },
  });
};

/** The own lease is programmed as if it were a peer's. Source: flannel pkg/lease/lease.go LeaseWatcher.Reset. */
export const programsOwnLease = (kernel: Kernel, node: MutatedNode): Kernel =>
  wrapped(kernel, {
    apply: async (changes) => {
      const own = node.agent?.lease?.subnets[4];
      const routes = changes.flatMap(({ action, object }) =>
        action === "put" && object.kind === "route" && !object.destination.includes(":")
          ? [object]
          : [],
      );
      const [route] = routes;
      if (own === undefined || route === undefined) return kernel.apply(changes);
      const twin: Change = { action: "put", object: { ...route, destination: own } };
      const results = await kernel.apply([...changes, twin]);
      return results.slice(0, -1);
    },
  });

/**
 * Every way to a peer ends at a machine that is none of its own, and the agent does not see that.
 * Source: flannel issue 1788, a public IP of before.
 */
export const sendsToTheWrongNode: WrapKernel = (kernel) => {
  const asked = new Map<string, KernelObject>();
  return wrapped(kernel, {
    dump: async (scope) =>
      (await kernel.dump(scope)).map((object) => asked.get(identityOf(object)) ?? object),
    apply: async (changes) => {
      return kernel.apply(
        changes.map(({ action, object }): Change => {
          const wrong = misdirected(object);
          if (action === "remove") asked.delete(identityOf(object));
          else if (wrong !== undefined) asked.set(identityOf(object), object);
          return { action, object: wrong ?? object };
        }),
      );
    },
  });
};

const THIRD_PARTY = { 4: "192.0.2.1" as Ip, 6: "2001:db8::1" as Ip };

/** Undefined for what says nothing of a peer's public IP. */
function misdirected(object: KernelObject): KernelObject | undefined {
  if (object.kind === "fdb")
    return { ...object, destination: THIRD_PARTY[familyOf(object.destination)] };
  if (object.kind !== "route" || object.onlink || object.gateway === undefined) return undefined;
  return { ...object, gateway: THIRD_PARTY[familyOf(object.destination)] };
}

/** Routes that an operator made: the one that every simulated machine has, and that of the lab's fault `foreign-route`. */
const OPERATORS_ROUTES: readonly Change[] = [
  operatorsRoute("198.18.0.0/24" as Cidr, { gateway: "192.0.2.254" as Ip }),
  operatorsRoute("198.51.100.0/24" as Cidr, {}),
];

/** RTPROT_STATIC on the external interface; without a gateway, whichever it has. */
function operatorsRoute(destination: Cidr, way: { readonly gateway?: Ip }): Change {
  const object = { kind: "route", destination, link: "eth0", onlink: false, protocol: 4 } as const;
  return { action: "remove", object: { ...object, ...way } };
}

/** Routes of others are cleaned up together with the own ones. */
export const removesForeignRoute: WrapKernel = (kernel) =>
  wrapped(kernel, {
    apply: async (changes) => {
      const results = await kernel.apply([...changes, ...OPERATORS_ROUTES]);
      return results.slice(0, changes.length);
    },
  });

/** Neighbours and FDB entries wait until the routes over them are put, or for the next pass: frames to a new peer have nowhere to go. */
export const putsRoutesFirst: WrapKernel = (kernel) => {
  const waiting: Change[] = [];
  return wrapped(kernel, {
    dump: async (scope) => {
      if (waiting.length > 0) await kernel.apply(waiting.splice(0));
      return kernel.dump(scope);
    },
    apply: async (changes) => {
      const now = changes.filter((change) => !isWayOfRoute(change));
      waiting.push(...changes.filter(isWayOfRoute));
      const hasRoute = now.some(
        ({ action, object }) => action === "put" && object.kind === "route",
      );
      const results = await kernel.apply([...now, ...(hasRoute ? waiting.splice(0) : [])]);
      const told = new Map(now.map((change, index) => [change, results[index]]));
      return changes.map((change) => told.get(change) ?? {});
    },
  });
};

function isWayOfRoute({ action, object }: Change): boolean {
  return action === "put" && (object.kind === "neighbour" || object.kind === "fdb");
}
