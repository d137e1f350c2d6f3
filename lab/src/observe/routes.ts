import { ADDRESS_BITS, formatCidr, type IpFamily } from "../addresses.ts";

/** Where the kernel tells the routes of a process's network namespace. Source: proc_pid_net(5). */
export const ROUTE_FILES: Readonly<Record<IpFamily, string>> = {
  ipv4: "net/route",
  ipv6: "net/ipv6_route",
};

interface Entry {
  readonly value: bigint;
  readonly prefixLength: number;
  readonly isDeadEnd: boolean;
}

const HEX_BYTES = /../g;
/** Source: Linux include/uapi/linux/route.h. */
const RTF_REJECT = 0x200;

/**
 * The networks that packets are routed to, by the text of a file of `ROUTE_FILES`. Blackholes and their like are left out. IPv4 is the main
 * table; IPv6 is all of them.
 */
export function routedNetworks(family: IpFamily, text: string): ReadonlySet<string> {
  const entries = text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .map(family === "ipv4" ? entryOf4 : entryOf6)
    .filter((entry) => entry?.isDeadEnd === false) as readonly Entry[];
  return new Set(
    entries.map(({ value, prefixLength }) =>
      formatCidr({ address: { family, value }, prefixLength }),
    ),
  );
}

/** Numbers are as the machine has them in memory, addresses in the order of the network. Source: Linux net/ipv4/fib_trie.c fib_route_seq_show. */
function entryOf4(columns: readonly string[]): Entry | undefined {
  const [device, destination = "", , flags = "", , , , mask = ""] = columns;
  if (!/^[0-9A-F]{8}$/.test(destination)) {
    return undefined; // The first line, and what is after the last.
  }
  const ones = inNetworkOrder(mask).toString(2).replaceAll("0", "").length;
  return {
    value: inNetworkOrder(destination),
    prefixLength: ones,
    // Of a blackhole the kernel names no device.
    isDeadEnd: device === "*" || (Number.parseInt(flags, 16) & RTF_REJECT) !== 0,
  };
}

/** All machines that Node runs on for Linux but one, IBM's, have the last byte first. */
function inNetworkOrder(hex: string): bigint {
  return BigInt(`0x${(hex.match(HEX_BYTES) ?? []).toReversed().join("")}`);
}

/** Source: Linux net/ipv6/route.c, rt6_info_route's successor ipv6_route_native_seq_show in net/ipv6/ip6_fib.c. */
function entryOf6(columns: readonly string[]): Entry | undefined {
  const [destination = "", length = "", , , , , , , flags = ""] = columns;
  const prefixLength = Number.parseInt(length, 16);
  if (!/^[0-9a-f]{32}$/.test(destination) || !(prefixLength <= ADDRESS_BITS.ipv6)) {
    return undefined;
  }
  return {
    value: BigInt(`0x${destination}`),
    prefixLength,
    isDeadEnd: (Number.parseInt(flags, 16) & RTF_REJECT) !== 0,
  };
}
