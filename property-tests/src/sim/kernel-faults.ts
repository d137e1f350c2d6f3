/** Faults of a machine's kernel: what others do behind the agent's back to the objects that it made, and to the card. */
import { type Family, type Ip, addToIp, familyOf, parseCidr, parseIp } from "agent/core/ip.ts";
import { type Mac, parseMac } from "agent/core/mac.ts";
import type { Change, KernelObject, Link, Scope } from "agent/kernel/kernel.ts";
import { isAgents } from "./kernel-facts.ts";
import type { Strikes } from "./strikes.ts";
import type { Machine } from "./world.ts";

export const KERNEL_STRIKES: Strikes<
  "remove-device" | "remove-object" | "alter-object" | "tamper-unheard" | "change-mtu"
> = {
  "remove-device"(_context, { variant }, node) {
    const printed = node.kernel.print();
    const devices = DEVICES.filter((name) => printed.includes(`link ${name} `));
    const device = devices[variant % Math.max(1, devices.length)];
    if (device === undefined) return false;
    node.kernel.removeInterface(device);
    node.world.observer.drifted(node, "device");
    return true;
  },
  "remove-object"(_context, { variant }, node) {
    void tamper(node, variant, removal);
    return hasObjects(node);
  },
  "alter-object"(_context, { variant }, node) {
    void tamper(node, variant, alteration);
    return hasObjects(node);
  },
  /** One of the two, and the kernel's event about it gets lost. */
  "tamper-unheard"({ world }, { variant }, node) {
    node.hearsKernel = false;
    void tamper(node, variant >> 1, variant % 2 === 0 ? removal : alteration);
    world.time.after(0, () => (node.hearsKernel = true));
    return hasObjects(node);
  },
  "change-mtu"({ world }, { variant }, node) {
    const mtu = MTUS[variant % MTUS.length] ?? node.mtu;
    if (mtu === node.mtu) return false;
    node.setMtu(mtu);
    world.observer.drifted(node, "card");
    return true;
  },
};

const DEVICES = ["flannel.1", "flannel-v6.1"];
/** Wide enough for every configuration of network-configs.ts. */
const POD_NETWORKS = ["10.42.0.0/16", "10.43.0.0/16", "fd00:42::/32", "fd00:43::/32"].map(
  parseCidr,
);
/** Everything that an agent may have made. */
export const AGENTS_SCOPE: Scope = { links: DEVICES, networks: POD_NETWORKS, sysctls: [] };
/** Ethernet's, one that a provider's own tunnel leaves, jumbo frames. */
const MTUS = [1500, 1450, 9000];

/** On the first segment, and nobody's. */
const NOBODY: Readonly<Record<Family, Ip>> = {
  4: parseIp("192.0.2.250"),
  6: parseIp("2001:db8::fa"),
};
export const NOBODYS_MAC: Mac = parseMac("0e:ff:ff:ff:ff:ff");

/** Undefined for an object that it is nothing for. */
type Tampering = (object: KernelObject, variant: number) => Change | undefined;

function removal(object: KernelObject): Change | undefined {
  return object.kind === "link" ? undefined : { action: "remove", object };
}

function alteration(object: KernelObject, variant: number): Change | undefined {
  const altered = alter(object, variant);
  return altered === undefined ? undefined : { action: "put", object: altered };
}

/** What somebody else might put in its place: it leads to `nobody`. Undefined for what cannot be altered. */
export function alter(
  object: KernelObject,
  variant: number,
  nobody: Readonly<Record<Family, Ip>> = NOBODY,
): KernelObject | undefined {
  switch (object.kind) {
    case "link":
      return alterLink(object, variant);
    case "neighbour":
      return { ...object, mac: NOBODYS_MAC };
    case "fdb":
      return { ...object, destination: nobody[familyOf(object.destination)] };
    case "route": {
      const { gateway, onlink, destination } = object;
      if (gateway === undefined) return undefined;
      return { ...object, gateway: onlink ? addToIp(gateway, 1n) : nobody[familyOf(destination)] };
    }
    case "address":
    case "nexthop":
    case "blackhole":
    case "sysctl":
      return undefined;
  }
}

function alterLink(link: Link, variant: number): Link {
  const ways: readonly Link[] = [
    { ...link, mtu: link.mtu - 10 },
    { ...link, mac: NOBODYS_MAC },
    { ...link, up: false },
  ];
  return ways[variant % ways.length] ?? link;
}

/** Does it to one of the objects that the agent made and goes on wishing for. */
async function tamper(node: Machine, variant: number, how: Tampering): Promise<void> {
  const { kernel, agent, world } = node;
  const ofTunnel = agent?.config?.backendType !== "host-gw";
  const dumped = await kernel.dump(AGENTS_SCOPE);
  const changes = dumped
    .filter((object) => isAgents(object) && object.kind !== "sysctl")
    // What vxlan left when the backend changed may be that of a second agent.
    .filter((object) => ofTunnel || (object.kind === "route" && object.link === "eth0"))
    .flatMap((object) => how(object, variant) ?? []);
  const change = changes[variant % Math.max(1, changes.length)];
  if (change === undefined) return;
  await kernel.apply([change]);
  world.note(`somebody ${change.action} ${JSON.stringify(change.object)} at ${node.name}`);
  world.observer.drifted(node, node.hearsKernel ? "object" : "unheard object");
}

function hasObjects({ kernel }: Machine): boolean {
  return /^(neigh|fdb|route) .*(flannel|proto 116)/m.test(kernel.print());
}
