/** What the kernel contract runs on: a kernel with a world around it, and the same small network in each family. */
import type { Cidr, Family, Ip } from "../core/ip.ts";
import { parseCidr, parseIp } from "../core/ip.ts";
import { parseMac } from "../core/mac.ts";
import type { Mac } from "../core/mac.ts";
import { identityOf } from "./identity.ts";
import { ROUTE_PROTOCOL_BOOT, ROUTE_PROTOCOL_KERNEL, ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type {
  Address,
  ChangeResult,
  FdbEntry,
  Kernel,
  KernelEvent,
  KernelObject,
  Link,
  Neighbour,
  Nexthop,
  Route,
  Scope,
  Sysctl,
} from "./kernel.ts";

/** A kernel, and what somebody else does to it. */
export interface ContractWorld extends AsyncDisposable {
  readonly kernel: Kernel;
  /** A card that is up, with addresses that can be used at once. */
  addInterface(name: string, mtu: number, addresses: readonly Cidr[]): Promise<void>;
  removeInterface(name: string): Promise<void>;
  setUp(name: string, up: boolean): Promise<void>;
  /** The other end of the card's wire; returns when the kernel has acted on it. */
  setCarrier(name: string, carrier: boolean): Promise<void>;
  removeAddress(link: string, address: Cidr): Promise<void>;
  /** Equivalent to `ip route append`. */
  appendRoute(route: Route): Promise<void>;
  /** Equivalent to `ip nexthop add`, also of one without a gateway. */
  addNexthop(nexthop: Nexthop): Promise<void>;
  /** Equivalent to `ip nexthop delete`. */
  removeNexthop(id: number): Promise<void>;
}

/** The same small network in each family. */
export interface Sample {
  readonly family: Family;
  readonly network: Cidr;
  readonly card: Cidr;
  readonly cardIp: Ip;
  /** What is on the card's own segment, and what is not. */
  readonly neighbourIp: Ip;
  readonly farIp: Ip;
  readonly ownAddress: Cidr;
  readonly ownAddressOtherLength: Cidr;
  readonly peerSubnet: Cidr;
  readonly peerGateway: Ip;
  readonly otherSubnet: Cidr;
  readonly otherGateway: Ip;
  readonly overheadBytes: number;
  readonly device: string;
  /** What Linux answers to a gateway that is not on the link. */
  readonly unreachable: string;
  /** What it answers to an onlink gateway that a route on another device leads to, and to a route equal to a later one. */
  readonly misled: string;
  readonly doubled: string;
  /** On the card's segment too. */
  readonly secondNeighbourIp: Ip;
  /** A subnet outside the network. */
  readonly outside: Cidr;
}

export const SAMPLES: readonly Sample[] = [
  {
    family: 4,
    network: parseCidr("10.42.0.0/16"),
    card: parseCidr("192.0.2.1/24"),
    cardIp: parseIp("192.0.2.1"),
    neighbourIp: parseIp("192.0.2.2"),
    farIp: parseIp("198.51.100.7"),
    ownAddress: parseCidr("10.42.1.0/32"),
    ownAddressOtherLength: parseCidr("10.42.1.0/24"),
    peerSubnet: parseCidr("10.42.2.0/24"),
    peerGateway: parseIp("10.42.2.0"),
    otherSubnet: parseCidr("10.42.3.0/24"),
    otherGateway: parseIp("10.42.3.0"),
    overheadBytes: 50,
    device: "flannel.1",
    unreachable: "ENETUNREACH (Nexthop has invalid gateway)",
    misled: "made",
    doubled: "EEXIST",
    secondNeighbourIp: parseIp("192.0.2.3"),
    outside: parseCidr("203.0.113.0/24"),
  },
  {
    family: 6,
    network: parseCidr("2001:db8:42::/48"),
    card: parseCidr("2001:db8:1::1/64"),
    cardIp: parseIp("2001:db8:1::1"),
    neighbourIp: parseIp("2001:db8:1::2"),
    farIp: parseIp("2001:db8:ffff::7"),
    ownAddress: parseCidr("2001:db8:42:1::/128"),
    ownAddressOtherLength: parseCidr("2001:db8:42:1::/64"),
    peerSubnet: parseCidr("2001:db8:42:2::/64"),
    peerGateway: parseIp("2001:db8:42:2::"),
    otherSubnet: parseCidr("2001:db8:42:3::/64"),
    otherGateway: parseIp("2001:db8:42:3::"),
    overheadBytes: 70,
    device: "flannel-v6.1",
    unreachable: "EHOSTUNREACH",
    misled: "EINVAL (Nexthop has invalid gateway or device mismatch)",
    doubled: "made",
    secondNeighbourIp: parseIp("2001:db8:1::3"),
    outside: parseCidr("2001:db8:99::/64"),
  },
];

export const CARD: string = "card0";
export const CARD_MTU: number = 1500;
export const MAC_1: Mac = parseMac("0e:00:00:00:00:01");
export const MAC_2: Mac = parseMac("0e:00:00:00:00:02");
export const MAC_3: Mac = parseMac("0e:00:00:00:00:03");

/** Longer than any machine needs to hear of a change. */
export const EVENT_LIMIT_MS = 5_000;

/** The next event of a watch. @throws Error when the watch is over */
export async function nextEvent(events: AsyncIterator<KernelEvent>): Promise<KernelEvent> {
  const { done, value } = await events.next();
  if (done === true) throw new Error("the watch is over");
  return value;
}

/** A world with one card, and the objects of one vxlan peer in it. */
export class Fixture {
  readonly sample: Sample;
  readonly scope: Scope;
  readonly device: Link;
  readonly address: Address;
  readonly neighbour: Neighbour;
  readonly fdb: FdbEntry;
  readonly route: Route;
  readonly cardRoute: Route;
  readonly acceptRa: Sysctl;
  #world: ContractWorld | undefined;

  constructor(sample: Sample) {
    this.sample = sample;
    const link = sample.device;
    const sysctl = `net/ipv6/conf/${link}/accept_ra`;
    this.scope = { links: [link], networks: [sample.network], sysctls: [sysctl] };
    this.device = {
      kind: "link",
      name: link,
      type: "vxlan",
      mac: MAC_1,
      mtu: CARD_MTU - sample.overheadBytes,
      up: true,
      vxlan: {
        vni: 1,
        port: 8472,
        local: sample.cardIp,
        lowerLink: CARD,
        learning: false,
        gbp: false,
      },
    };
    this.address = { kind: "address", link, address: sample.ownAddress };
    this.neighbour = { kind: "neighbour", link, address: sample.peerGateway, mac: MAC_2 };
    this.fdb = { kind: "fdb", link, mac: MAC_2, destination: sample.neighbourIp };
    this.route = {
      kind: "route",
      destination: sample.peerSubnet,
      gateway: sample.peerGateway,
      link,
      onlink: true,
      protocol: ROUTE_PROTOCOL_BOOT,
    };
    this.cardRoute = {
      kind: "route",
      destination: sample.peerSubnet,
      gateway: sample.neighbourIp,
      link: CARD,
      onlink: false,
      protocol: ROUTE_PROTOCOL_TWILL,
    };
    this.acceptRa = { kind: "sysctl", path: sysctl, value: "0" };
  }

  get world(): ContractWorld {
    if (this.#world === undefined) throw new Error("the world has not begun");
    return this.#world;
  }

  async begin(open: () => Promise<ContractWorld>): Promise<void> {
    this.#world = await open();
    await this.#world.addInterface(CARD, CARD_MTU, [this.sample.card]);
  }

  async end(): Promise<void> {
    await this.#world?.[Symbol.asyncDispose]();
    this.#world = undefined;
  }

  /** All that a vxlan peer needs, in an order that works. */
  get all(): readonly KernelObject[] {
    return [this.device, this.acceptRa, this.address, this.fdb, this.neighbour, this.route];
  }

  /** @throws the first refusal */
  async put(...objects: readonly KernelObject[]): Promise<void> {
    for (const { error } of await this.try("put", ...objects)) if (error !== undefined) throw error;
  }

  /** @throws the first refusal */
  async remove(...objects: readonly KernelObject[]): Promise<void> {
    for (const { error } of await this.try("remove", ...objects))
      if (error !== undefined) throw error;
  }

  try(
    action: "put" | "remove",
    ...objects: readonly KernelObject[]
  ): Promise<readonly ChangeResult[]> {
    return this.world.kernel.apply(objects.map((object) => ({ action, object })));
  }

  /** What the kernel says to one put: why not, or "made". */
  async answer(object: KernelObject): Promise<string> {
    const [result] = await this.try("put", object);
    return result?.error?.message ?? "made";
  }

  get vxlan(): NonNullable<Link["vxlan"]> {
    if (this.device.vxlan === undefined) throw new Error("the sample device is a vxlan device");
    return this.device.vxlan;
  }

  async routes(): Promise<readonly KernelObject[]> {
    return (await this.dump()).filter(({ kind }) => kind === "route");
  }

  async nexthops(): Promise<readonly KernelObject[]> {
    return (await this.dump()).filter(({ kind }) => kind === "nexthop");
  }

  /** The dump without the kernel's own routes, in a fixed order. */
  async dump(): Promise<readonly KernelObject[]> {
    const objects = await this.world.kernel.dump(this.scope);
    return objects
      .filter((object) => object.kind !== "route" || object.protocol !== ROUTE_PROTOCOL_KERNEL)
      .toSorted((a, b) => (identityOf(a) < identityOf(b) ? -1 : 1));
  }

  sorted(...objects: readonly KernelObject[]): readonly KernelObject[] {
    return objects.toSorted((a, b) => (identityOf(a) < identityOf(b) ? -1 : 1));
  }
}
