import { LabError } from "../../errors.ts";
import type { LabHost } from "../../hosts/host.ts";
import { run } from "../../system/processes.ts";
import { type EndpointAddress, EXTERNAL_INTERFACE } from "../../topology.ts";
import { addressLines, cidrOf } from "../address-lines.ts";
import { type AnyFault, defineFault, type FaultSite } from "../fault.ts";
import { dumped, ipBatch, linkOf } from "../host-kernel.ts";

interface Target {
  readonly host: LabHost;
  readonly peer: LabHost;
  readonly ofHost: readonly EndpointAddress[];
  readonly ofPeer: readonly EndpointAddress[];
}

export const swapAddresses: AnyFault = defineFault<Target>({
  name: "swap-addresses",
  summary: "Gives two hosts of a segment each other's public addresses, while their agents run.",
  place: "host",
  parameters: { peer: { help: "the other host", value: { kind: "host" } } },
  timeLimitMs: 2000,
  aim: async (site, { parameters }) => {
    const host = site.host();
    const peer = site.hostNamed(parameters["peer"] ?? "");
    if (host.plan.segment !== peer.plan.segment) {
      throw new LabError("wrong-state", `${host.name} and ${peer.name} are on two segments`);
    }
    return { host, peer, ofHost: host.plan.addresses, ofPeer: peer.plan.addresses };
  },
  inject: (site, target) => exchange(site, target, target.ofPeer, target.ofHost),
  verify: async (_site, { host, peer, ofHost, ofPeer }) =>
    (await has(host, ofPeer)) && (await has(peer, ofHost))
      ? dumped(host, `${ofPeer.map(cidrOf).join(", ")}, and one of ${peer.name} the other's`)
      : undefined,
  heal: async (site, target) => {
    if (!(await has(target.host, target.ofHost))) {
      await exchange(site, target, target.ofHost, target.ofPeer);
    }
  },
  verifyHealed: async (_site, { host, peer, ofHost, ofPeer }) =>
    (await has(host, ofHost)) && (await has(peer, ofPeer))
      ? dumped(host, ofHost.map(cidrOf).join(", "))
      : undefined,
});

/** Both go before the first comes: nobody is to see an address on two machines. */
async function exchange(
  site: FaultSite,
  { host, peer }: Target,
  ofHost: readonly EndpointAddress[],
  ofPeer: readonly EndpointAddress[],
): Promise<void> {
  await ipBatch(host, addressLines(ofPeer, []));
  await ipBatch(peer, addressLines(ofHost, ofPeer));
  await ipBatch(host, addressLines([], ofHost));
  host.readdress(ofHost);
  peer.readdress(ofPeer);
  await forgetNeighbours(site, [...ofHost, ...ofPeer]);
}

/** Everybody hears of it at once, as from a machine that announces an address that it takes (RFC 5227 section 2.3). */
async function forgetNeighbours(
  site: FaultSite,
  addresses: readonly EndpointAddress[],
): Promise<void> {
  const script = addresses.map(({ address }) => `neigh flush to ${address} dev DEVICE\n`).join("");
  const flush = (device: string): string => script.replaceAll("DEVICE", device);
  const hosts = [site.host(), ...site.otherHosts()];
  await Promise.all([
    ...[...hosts, ...site.store.members].map(({ anchor }) =>
      run(anchor.enter(["ip", "-force", "-batch", "-"]), { input: flush(EXTERNAL_INTERFACE) }),
    ),
    run(["ip", "-force", "-batch", "-"], { input: flush(site.host().plan.bridge) }),
  ]);
}

async function has(host: LabHost, addresses: readonly EndpointAddress[]): Promise<boolean> {
  const there = (await linkOf(host, EXTERNAL_INTERFACE))?.addresses ?? [];
  return addresses.every((address) => there.includes(cidrOf(address)));
}
