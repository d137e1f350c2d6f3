/** The network between the machines of a simulated world: one or more segments, a router between them, which is the last but one address of each. */
import type { Cidr, Family, Ip } from "agent/core/ip.ts";
import type { Route } from "agent/kernel/kernel.ts";

export type Addresses = Readonly<Record<Family, Ip>>;

/** One segment's prefix in one family. */
interface Prefix {
  readonly start: string;
  readonly length: number;
  /** The router's place in it. */
  readonly router: string;
}

/** RFC 5737 and RFC 3849 documentation prefixes; the second segment's IPv4 is of the benchmarking range of RFC 2544. */
const SEGMENTS: readonly Readonly<Record<Family, Prefix>>[] = [
  {
    4: { start: "192.0.2.", length: 24, router: "254" },
    6: { start: "2001:db8::", length: 64, router: "fe" },
  },
  {
    4: { start: "198.19.2.", length: 24, router: "254" },
    6: { start: "2001:db8:0:2::", length: 64, router: "fe" },
  },
];

export const MAX_SEGMENTS: number = SEGMENTS.length;
/** Source: linux/rtnetlink.h RTPROT_STATIC. */
const PROTOCOL_STATIC = 4;

/** One machine's place on the underlay. */
export class Attachment {
  readonly #segment: Readonly<Record<Family, Prefix>>;
  readonly #others: readonly Readonly<Record<Family, Prefix>>[];

  /** `segment` and `segments` are counted from 0 and 1. @throws Error for more segments than there are */
  constructor(segment: number, segments: number) {
    const used = SEGMENTS.slice(0, segments);
    const own = used[segment];
    if (own === undefined || used.length < segments)
      throw new Error(`no segment ${segment} of ${segments}: at most ${MAX_SEGMENTS}`);
    this.#segment = own;
    this.#others = used.filter((one) => one !== own);
  }

  /** Of the machine of this number, from 1. */
  addresses(number: number): Addresses {
    const { 4: ipv4, 6: ipv6 } = this.#segment;
    return {
      4: `${ipv4.start}${number}` as Ip,
      6: `${ipv6.start}${number.toString(16)}` as Ip,
    };
  }

  /** With the length of the segment's prefix, as `ip address` takes it. */
  cidr(family: Family, address: Ip): Cidr {
    return `${address}/${this.#segment[family].length}` as Cidr;
  }

  router(family: Family): Ip {
    const { start, router } = this.#segment[family];
    return `${start}${router}` as Ip;
  }

  holds(address: string): boolean {
    const family = address.includes(":") ? 6 : 4;
    const { start } = this.#segment[family];
    return address.startsWith(start) && !/[:.]/.test(address.slice(start.length));
  }

  /** To all other segments. */
  routes(): readonly Omit<Route, "kind">[] {
    return this.#others.flatMap((other) =>
      ([4, 6] as const).map((family) => ({
        destination:
          `${other[family].start}${family === 4 ? "0" : ""}/${other[family].length}` as Cidr,
        gateway: this.router(family),
        link: "eth0",
        onlink: false,
        protocol: PROTOCOL_STATIC,
      })),
    );
  }
}
