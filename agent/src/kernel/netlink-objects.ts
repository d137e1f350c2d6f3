/** Netlink's objects as the port's. */
import type {
  AddressState,
  FdbEntryState,
  Link as LinuxLink,
  NeighbourEntry,
  RouteState,
} from "linux";
import { MAIN_TABLE, SCOPE } from "linux";
import { cidr, cidrAddress, cidrLength, familyOf, parseCidr, parseIp } from "../core/ip.ts";
import type { Cidr, Ip } from "../core/ip.ts";
import { parseMac } from "../core/mac.ts";
import { BLACKHOLE_METRIC, ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type { Address, Blackhole, FdbEntry, Link, Neighbour, Route } from "./kernel.ts";

/** Names of links by index, as of one dump. */
export class LinkNames {
  readonly #names: ReadonlyMap<number, string>;

  constructor(links: readonly LinuxLink[]) {
    this.#names = new Map(links.map((link) => [link.index, link.name]));
  }

  /** Empty for a link that is gone, or in another namespace. */
  of(index: number | undefined): string {
    return (index === undefined ? undefined : this.#names.get(index)) ?? "";
  }
}

/** What a link without an Ethernet address has. */
const NO_MAC = parseMac("00:00:00:00:00:00");
/** What a tunnel without a fixed source address has. */
const NO_IP = parseIp("0.0.0.0");

export function linkOf(link: LinuxLink, names: LinkNames): Link {
  const { vxlan } = link;
  return {
    kind: "link",
    name: link.name,
    type: link.kind ?? "",
    mac: link.mac === undefined ? NO_MAC : parseMac(link.mac),
    mtu: link.mtu,
    up: link.up,
    ...(vxlan === undefined
      ? {}
      : {
          vxlan: {
            vni: vxlan.id,
            port: vxlan.port ?? 0,
            local: readIp(vxlan.local ?? "") ?? NO_IP,
            lowerLink: names.of(vxlan.lowerIndex),
            learning: vxlan.learning ?? false,
            gbp: vxlan.gbp ?? false,
          },
        }),
  };
}

/** Undefined for an address that no cidr of ours can name: an IPv4-mapped one. */
export function addressCidr(state: AddressState): Cidr | undefined {
  const address = readIp(state.address);
  return address === undefined ? undefined : cidr(address, state.prefixLength);
}

/** Undefined for link-local addresses, which the kernel makes by itself. */
export function addressOf(link: string, state: AddressState): Address | undefined {
  const address = state.scope === SCOPE.global ? addressCidr(state) : undefined;
  return address === undefined ? undefined : { kind: "address", link, address };
}

/** Undefined for what is not permanent: the kernel resolved that by itself. */
export function neighbourOf(link: string, entry: NeighbourEntry): Neighbour | undefined {
  const address = readIp(entry.address);
  if (entry.state !== "permanent" || entry.proxy) return undefined;
  if (address === undefined || entry.mac === undefined) return undefined;
  return { kind: "neighbour", link, address, mac: parseMac(entry.mac) };
}

/** Undefined for what is learned, or has no destination. */
export function fdbEntryOf(link: string, entry: FdbEntryState): FdbEntry | undefined {
  if (entry.state !== "permanent" || entry.destination === undefined) return undefined;
  const destination = readIp(entry.destination);
  if (destination === undefined) return undefined;
  return { kind: "fdb", link, mac: parseMac(entry.mac), destination };
}

/** Source: linux/ipv6_route.h IP6_RT_PRIO_USER; IPv4 has 0. */
const IPV6_DEFAULT_METRIC = 1024;

/** Undefined for what the port has no word for: other tables, types and metrics, and several ways at once. */
export function routeOf(state: RouteState, names: LinkNames): Route | undefined {
  const destination = readCidr(state.destination);
  const link = names.of(state.linkIndex);
  if (destination === undefined || link === "" || state.hops !== undefined) return undefined;
  const metric = familyOf(destination) === 4 ? 0 : IPV6_DEFAULT_METRIC;
  if (state.table !== MAIN_TABLE || state.type !== "unicast") return undefined;
  if ((state.metric ?? 0) !== metric) return undefined;
  const gateway = state.gateway === undefined ? undefined : readIp(state.gateway);
  if (state.gateway !== undefined && gateway === undefined) return undefined;
  return {
    kind: "route",
    destination,
    ...(gateway === undefined ? {} : { gateway }),
    link,
    onlink: state.onlink,
    protocol: state.protocol,
    ...(state.nexthopId === undefined ? {} : { nexthop: state.nexthopId }),
  };
}

/** Undefined for what is none, or is another program's. */
export function blackholeOf(state: RouteState): Blackhole | undefined {
  if (state.type !== "blackhole" || state.table !== MAIN_TABLE) return undefined;
  if (state.protocol !== ROUTE_PROTOCOL_TWILL || state.metric !== BLACKHOLE_METRIC)
    return undefined;
  const destination = readCidr(state.destination);
  return destination === undefined ? undefined : { kind: "blackhole", destination };
}

/** Address and prefix length, as netlink takes them. */
export function splitCidr(value: Cidr): { readonly address: Ip; readonly prefixLength: number } {
  return { address: cidrAddress(value), prefixLength: cidrLength(value) };
}

/** The core refuses IPv4-mapped addresses, which another program may have put: such an object is none of ours. */
export function readIp(text: string): Ip | undefined {
  return text === "" || isMapped(text) ? undefined : parseIp(text);
}

function readCidr(text: string): Cidr | undefined {
  return isMapped(text) ? undefined : parseCidr(text);
}

function isMapped(text: string): boolean {
  return text.startsWith("::ffff:") && text.includes(".");
}
