import type { IpFamily } from "../addresses.ts";
import { type Finding, failIfAny, unknown } from "./verdict.ts";

/** What went from one pod to another without being fragmented. */
export interface LargestPacket {
  readonly from: string;
  readonly to: string;
  readonly family: IpFamily;
  /** FLANNEL_MTU on the sender's host. */
  readonly mtu: number;
  /** Of the sender's external interface. */
  readonly underlayMtu: number;
  /** Of the sender's tunnel device of the family; undefined when it has none. */
  readonly deviceMtu: number | undefined;
  /** Whether a packet of `mtu` bytes came back. */
  readonly fits: boolean;
  /** What became of one of a byte more: somebody said at once that it is too long, or it came back, or nobody said anything. */
  readonly longer: "refused" | "arrives" | "vanishes";
}

/** What vxlan puts around a packet: outer IP (20 or 40), UDP (8), VXLAN (8), inner Ethernet (14). Source: RFC 7348. */
const OVERHEAD_BYTES: Readonly<Record<IpFamily, number>> = { ipv4: 50, ipv6: 70 };

/** Invariant D8: FLANNEL_MTU is what passes, no byte less, and what the devices say. */
export function largestPacketIsMtu(backend: string, packets: readonly LargestPacket[]): Finding {
  if (packets.length === 0) {
    return unknown("no two pods to send a packet between");
  }
  const dual = packets.some(({ family }) => family === "ipv6");
  const violations = packets.flatMap((packet) => {
    const { from, to, family, mtu, underlayMtu, deviceMtu, fits, longer } = packet;
    const pair = `${from} → ${to} (${family})`;
    const overhead = backend === "vxlan" ? OVERHEAD_BYTES[dual ? "ipv6" : "ipv4"] : 0;
    const device = deviceMtu ?? mtu;
    const deviceLimit = underlayMtu - (backend === "vxlan" ? OVERHEAD_BYTES[family] : 0);
    return [
      ...(fits ? [] : [`${pair}: ${mtu} bytes, which FLANNEL_MTU allows, do not arrive`]),
      ...(longer === "arrives"
        ? [`${pair}: ${mtu + 1} bytes arrive, FLANNEL_MTU says ${mtu}`]
        : []),
      ...(longer === "vanishes"
        ? [`${pair}: ${mtu + 1} bytes vanish, and nobody refuses them`]
        : []),
      ...(underlayMtu - overhead === mtu
        ? []
        : [
            `${from}: FLANNEL_MTU is ${mtu}, the underlay's ${underlayMtu} leave ${underlayMtu - overhead}`,
          ]),
      ...(deviceMtu === undefined || (device >= mtu && device <= deviceLimit)
        ? []
        : [`${from}: the tunnel device has MTU ${device}, FLANNEL_MTU is ${mtu}`]),
    ];
  });
  const mtus = [...new Set(packets.map(({ mtu }) => mtu))].join(", ");
  return failIfAny(
    [...new Set(violations)],
    `${packets.length} pairs: ${mtus} bytes pass, one more does not`,
  );
}
