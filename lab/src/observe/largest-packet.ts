import type { IpFamily } from "../addresses.ts";
import type { LargestPacket } from "../checks/largest-packet-is-mtu.ts";
import type { HostStatus, Lab } from "../lab.ts";
import { EXTERNAL_INTERFACE } from "../topology.ts";
import { parseList } from "./kernel-state.ts";

/** IP and ICMP headers, which ping(8) does not count. */
const HEADER_BYTES: Readonly<Record<IpFamily, number>> = { ipv4: 28, ipv6: 48 };
/** What ping(8) says when a kernel on the way, its own first, has no room for a packet. Source: iputils ping. */
const REFUSED = /message too long|Frag needed|Packet too big/i;
const ANSWER_SECONDS = 1;
/** The pod's own kernel refuses before anything is sent; ping(8) waits all the same. */
const REFUSAL_SECONDS = 0.2;
const DEVICES: Readonly<Record<IpFamily, string>> = { ipv4: "flannel.1", ipv6: "flannel-v6.1" };

/** Sends from the pod of each host to the next one's, in every family, packets that may not be fragmented. */
export async function probeLargestPackets(lab: Lab): Promise<LargestPacket[]> {
  const { hosts } = await lab.status({});
  const ready = hosts.filter(({ podIps, mtu }) => podIps.length > 0 && mtu !== undefined);
  const pairs =
    ready.length < 2
      ? []
      : ready.map((from, index) => ({ from, to: ready[(index + 1) % ready.length] }));
  // At once: a packet that does not arrive is waited for, and one look must not outlast what it looks at.
  return Promise.all(
    pairs.flatMap(({ from, to }) =>
      (to?.podIps ?? []).map((address) => probePair(lab, from, to?.name ?? "", address)),
    ),
  );
}

async function probePair(
  lab: Lab,
  from: HostStatus,
  to: string,
  address: string,
): Promise<LargestPacket> {
  const family = address.includes(":") ? "ipv6" : "ipv4";
  const mtu = from.mtu ?? 0;
  const send = async (bytes: number, waitSeconds: number): Promise<LargestPacket["longer"]> => {
    const size = String(bytes - HEADER_BYTES[family]);
    const ping = ["ping", "-n", "-M", "do", "-c", "1", "-W", `${waitSeconds}`, "-s", size, address];
    const argv = ["env", "LC_ALL=C", ...ping];
    const { exitCode, stdout, stderr } = await lab.exec({ host: from.name, place: "pod", argv });
    if (exitCode === 0) {
      return "arrives";
    }
    return REFUSED.test(stdout + stderr) ? "refused" : "vanishes";
  };
  const [underlayMtu = 0, deviceMtu, fitting, longer] = await Promise.all([
    mtuOf(lab, from.name, EXTERNAL_INTERFACE),
    mtuOf(lab, from.name, DEVICES[family]),
    send(mtu, ANSWER_SECONDS),
    send(mtu + 1, REFUSAL_SECONDS),
  ]);
  const fits = fitting === "arrives";
  return { from: from.name, to, family, mtu, underlayMtu, deviceMtu, fits, longer };
}

async function mtuOf(lab: Lab, host: string, device: string): Promise<number | undefined> {
  const argv = ["ip", "-j", "link", "show", "dev", device];
  const { exitCode, stdout } = await lab.exec({ host, argv });
  const link = exitCode === 0 ? parseList(stdout)[0] : undefined;
  return link === undefined ? undefined : Number(link["mtu"]);
}
