/** Faults of a machine's kernel and its card. */
import type { Cidr, Ip } from "agent/core/ip.ts";
import { parseCidr, parseIp } from "agent/core/ip.ts";
import { parseMac } from "agent/core/mac.ts";
import type { Change, KernelObject, Link } from "agent/kernel/kernel.ts";
import { printObject } from "agent/kernel/print.ts";
import { isAgents } from "../kernel-facts.ts";
import { AGENTS_SCOPE, NOBODYS_MAC, alter } from "../kernel-faults.ts";
import type { Machine } from "../world.ts";
import type { FaultWord, FaultWords } from "./fault-word.ts";
import { type Cure, type Ground, NO_CURE, StepFailed } from "./ground.ts";

type PeerFault =
  | "delete-route"
  | "delete-neighbour"
  | "delete-fdb"
  | "alter-route"
  | "alter-neighbour"
  | "alter-fdb";
type PeerKind = "route" | "neighbour" | "fdb";

/** Source: linux/rtnetlink.h RTPROT_STATIC. */
const PROTOCOL_STATIC = 4;
/** Where a route of somebody else leads by itself; the same as in the lab. */
const FOREIGN_PREFIX = "198.51.100.0/24" as Cidr;
const FOREIGN_DEVICE = "other0";

const KNOWN_BY_ADDRESS = "a node is known by its address here";

export const KERNEL_WORDS: FaultWords<
  | PeerFault
  | "detour"
  | "flush-routes"
  | "delete-link"
  | "change-mac"
  | "change-mtu"
  | "link-flap"
  | "foreign-route"
  | "foreign-device"
  | "change-address"
  | "swap-addresses"
> = {
  "delete-route": removal("route"),
  "delete-neighbour": removal("neighbour"),
  "delete-fdb": removal("fdb"),
  "alter-route": alteration("route"),
  "alter-neighbour": alteration("neighbour"),
  "alter-fdb": alteration("fdb"),
  "flush-routes": {
    strike(ground, { node }) {
      const machine = ground.machine(node);
      const peers = ground.machines.filter((other) => other !== machine);
      return strikeObjects(ground, machine, { kind: "route", peers, how: removed });
    },
  },
  detour: {
    async strike(ground, { node, peer }) {
      const [machine, other] = [ground.machine(node), ground.machine(peer)];
      const routes = ([4, 6] as const)
        .filter((family) => ground.config.ranges[family] !== undefined)
        .map((family) => staticRoute(machine, hostPrefix(other.addresses[family])));
      const changes = routes.map((object): Change => ({ action: "put", object }));
      for (const address of Object.values(other.addresses)) machine.detours.add(address);
      await ground.changeKernel(machine, changes, "object");
      return {
        heal: () => {
          for (const address of Object.values(other.addresses)) machine.detours.delete(address);
          removeAll(machine, routes);
        },
      };
    },
  },
  "delete-link": {
    strike(ground, { node, link }) {
      const machine = ground.machine(node);
      if (!machine.kernel.print().includes(`link ${link} `))
        throw new StepFailed(`there is no ${link} on ${machine.name}`);
      machine.kernel.removeInterface(link);
      ground.world.observer.drifted(machine, "device");
      return NO_CURE;
    },
  },
  "change-mac": {
    async strike(ground, { node, link }) {
      const machine = ground.machine(node);
      const before = await linkNamed(machine, link);
      const change = (mac: Link["mac"]): Change => ({ action: "put", object: { ...before, mac } });
      await ground.changeKernel(machine, [change(NOBODYS_MAC)], "object");
      return {
        heal: () => {
          if (machine.kernel.print().includes(` address ${NOBODYS_MAC} `))
            void machine.kernel.apply([change(before.mac)]);
        },
      };
    },
  },
  "change-mtu": {
    strike(ground, { node, mtu }) {
      const machine = ground.machine(node);
      const before = machine.mtu;
      if (mtu === before) throw new StepFailed(`the MTU of ${machine.name} is ${mtu} already`);
      const set = (value: number): void => {
        machine.setMtu(value);
        ground.world.observer.drifted(machine, "card");
      };
      set(mtu);
      return { heal: () => set(before) };
    },
  },
  "link-flap": {
    strike(ground, { node, side = "host" }) {
      const machine = ground.machine(node);
      const uplink = ground.obstruct("silent", [machine]);
      if (side === "host") machine.kernel.setUp("eth0", false);
      else machine.kernel.setCarrier("eth0", false);
      ground.offline.add(machine);
      ground.world.observer.drifted(machine, "card");
      return {
        heal: () => {
          if (side === "host") machine.reconnect();
          else machine.kernel.setCarrier("eth0", true);
          ground.offline.delete(machine);
          ground.world.observer.drifted(machine, "card");
          uplink.heal();
        },
      };
    },
  },
  "foreign-route": {
    whyNot: ({ to }) =>
      to === undefined ? undefined : `to ${to}: where pods are is another place here`,
    strike: (ground, { node }) => {
      const machine = ground.machine(node);
      return strikeForeign(ground, machine, [staticRoute(machine, FOREIGN_PREFIX)]);
    },
  },
  "foreign-device": {
    strike: (ground, { node }) =>
      strikeForeign(ground, ground.machine(node), foreignDevice(ground.machine(node))),
  },
  "change-address": KNOWN_BY_ADDRESS,
  "swap-addresses": KNOWN_BY_ADDRESS,
};

/** Takes what is there away. */
function removed(object: KernelObject): Change {
  return { action: "remove", object };
}

function removal<Name extends PeerFault>(kind: PeerKind): FaultWord<Name> {
  return {
    strike: (ground, { node, peer }) =>
      strikeObjects(ground, ground.machine(node), {
        kind,
        peers: [ground.machine(peer)],
        how: removed,
      }),
  };
}

/** Puts what leads to nobody in its place: to the router, which has no pods. */
function alteration<Name extends PeerFault>(kind: PeerKind): FaultWord<Name> {
  return {
    strike(ground, { node, peer }) {
      const machine = ground.machine(node);
      const { attachment } = machine;
      const routers = { 4: attachment.router(4), 6: attachment.router(6) };
      const how = (object: KernelObject): Change => ({
        action: "put",
        object: alter(object, 0, routers) ?? object,
      });
      return strikeObjects(ground, machine, { kind, peers: [ground.machine(peer)], how });
    },
  };
}

/** @throws StepFailed when nothing of the kind leads there */
async function strikeObjects(
  ground: Ground,
  machine: Machine,
  aim: {
    readonly kind: PeerKind;
    readonly peers: readonly Machine[];
    readonly how: (object: KernelObject) => Change;
  },
): Promise<Cure> {
  const { kind, peers, how } = aim;
  const objects = (await machine.kernel.dump(AGENTS_SCOPE)).filter(
    (object) =>
      object.kind === kind &&
      isAgents(object) &&
      peers.some((peer) => leadsTo(ground, object, peer)),
  );
  if (objects.length === 0) {
    const names = peers.map(({ name }) => name).join(", ");
    throw new StepFailed(`${machine.name} has no ${kind} that leads to ${names}`);
  }
  await ground.changeKernel(machine, objects.map(how), "object");
  return { heal: () => putBack(ground, machine, objects, peers) };
}

/** By the peer's lease, as the store has it. */
function leadsTo({ leases }: Ground, object: KernelObject, peer: Machine): boolean {
  const lease = leases().find(({ owner }) => owner === peer.publicIp);
  if (lease === undefined) return false;
  const subnets = lease.blocks.map(({ text }) => text);
  switch (object.kind) {
    case "route":
      return subnets.includes(object.destination);
    case "neighbour":
      return subnets.some((subnet) => subnet.startsWith(`${object.address}/`));
    case "fdb":
      return lease.entry.value.includes(object.mac);
    default:
      return false;
  }
}

/** What nobody has repaired; where a peer has left meanwhile, nothing. */
function putBack(
  { leases }: Ground,
  machine: Machine,
  objects: readonly KernelObject[],
  peers: readonly Machine[],
): void {
  const owners = new Set(leases().map(({ owner }) => owner));
  if (!peers.every(({ publicIp }) => owners.has(publicIp))) return;
  const lines = new Set(machine.kernel.print().split("\n"));
  const missing = objects.filter((object) => !lines.has(printObject(object)));
  void machine.kernel.apply(missing.map((object): Change => ({ action: "put", object })));
}

async function strikeForeign(
  ground: Ground,
  machine: Machine,
  objects: readonly KernelObject[],
): Promise<Cure> {
  const before = new Set(machine.kernel.print().split("\n"));
  const changes = objects.map((object): Change => ({ action: "put", object }));
  await ground.changeKernel(machine, changes, undefined);
  const lines = machine.kernel
    .print()
    .split("\n")
    .filter((line) => !before.has(line));
  const foreign = { machine, lines };
  ground.foreign.add(foreign);
  return {
    heal: () => {
      ground.foreign.delete(foreign);
      removeAll(machine, objects);
    },
  };
}

/** The last that was put goes first. */
function removeAll({ kernel }: Machine, objects: readonly KernelObject[]): void {
  void kernel.apply(objects.map(removed).toReversed());
}

function staticRoute({ attachment }: Machine, destination: Cidr): KernelObject {
  return {
    kind: "route",
    destination,
    gateway: attachment.router(destination.includes(":") ? 6 : 4),
    link: "eth0",
    onlink: false,
    protocol: PROTOCOL_STATIC,
  };
}

function hostPrefix(address: Ip): Cidr {
  return `${address}/${address.includes(":") ? 128 : 32}` as Cidr;
}

/** A vxlan device of somebody else, with one of each kind of object that an agent puts on its own. */
function foreignDevice({ publicIp }: Machine): readonly KernelObject[] {
  const [link, gateway] = [FOREIGN_DEVICE, parseIp("198.51.100.77")];
  const mac = parseMac("02:00:00:00:0c:01");
  const vxlan = {
    vni: 4242,
    port: 4789,
    local: publicIp,
    lowerLink: "eth0",
    learning: false,
    gbp: false,
  };
  return [
    {
      kind: "link",
      name: link,
      type: "vxlan",
      mac: parseMac("02:00:00:00:0c:00"),
      mtu: 1400,
      up: true,
      vxlan,
    },
    { kind: "neighbour", link, address: gateway, mac },
    { kind: "fdb", link, mac, destination: parseIp("192.0.2.200") },
    {
      kind: "route",
      destination: parseCidr("203.0.113.0/24"),
      gateway,
      link,
      onlink: true,
      protocol: PROTOCOL_STATIC,
    },
  ];
}

/** @throws StepFailed when there is none */
async function linkNamed({ kernel, name }: Machine, link: string): Promise<Link> {
  const objects = await kernel.dump({ ...AGENTS_SCOPE, links: [link] });
  const found = objects.find((object) => object.kind === "link" && object.name === link);
  if (found?.kind !== "link") throw new StepFailed(`there is no ${link} on ${name}`);
  return found;
}
