/** What the reference does wrong with what is in the kernel, as wrapped kernels. */
import type { Cidr, Ip } from "agent/core/ip.ts";
import type { Change, Kernel } from "agent/kernel/kernel.ts";
import type { SimNode } from "../sim/world.ts";

export type WrapKernel = (kernel: Kernel) => Kernel;

function wrapped(kernel: Kernel, verbs: Partial<Kernel>): Kernel {
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
      const [news, old] = [changes.filter(isNews), new Set(changes)];
      for (const change of news) old.delete(change);
      return [...(await kernel.apply(news)), ...[...old].map((change) => ({ change }))];
    },
  });
};

/** The own lease is programmed as if it were a peer's. Source: flannel pkg/lease/lease.go LeaseWatcher.Reset. */
export const programsOwnLease = (kernel: Kernel, node: SimNode): Kernel =>
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

/** A route that an operator made, as every simulated machine has it. */
const OPERATORS_ROUTE: Change = {
  action: "remove",
  object: {
    kind: "route",
    destination: "198.18.0.0/24" as Cidr,
    gateway: "192.0.2.254" as Ip,
    link: "eth0",
    onlink: false,
    protocol: 4,
  },
};

/** Routes of others are cleaned up together with the own ones. */
export const removesForeignRoute: WrapKernel = (kernel) =>
  wrapped(kernel, {
    apply: async (changes) => {
      const results = await kernel.apply([...changes, OPERATORS_ROUTE]);
      return results.slice(0, -1);
    },
  });
