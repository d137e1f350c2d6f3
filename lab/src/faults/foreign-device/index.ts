import { type AnyFault, defineFault } from "../fault.ts";
import { bridgeBatch, dumped, ipBatch, kernelOf, linkOf } from "../host-kernel.ts";

/** A vxlan of somebody else, with one of each kind of object that an agent puts on its own. */
const DEVICE = "other0";
const PEER = { address: "192.0.2.77", mac: "02:00:00:00:0c:01", underlay: "198.51.100.7" };
const ROUTE = "203.0.113.0/24";

export const foreignDevice: AnyFault = defineFault<Record<string, never>>({
  name: "foreign-device",
  summary:
    "Adds somebody else's vxlan device with a route, a neighbour and an FDB entry, which no agent may touch.",
  place: "host",
  parameters: {},
  timeLimitMs: 2000,
  aim: async () => ({}),
  inject: async (site) => {
    await ipBatch(site.host(), [
      `link add ${DEVICE} type vxlan id 4242 dstport 4789 nolearning`,
      `link set ${DEVICE} up`,
      `neighbour add ${PEER.address} lladdr ${PEER.mac} dev ${DEVICE} nud permanent`,
      `route add ${ROUTE} via ${PEER.address} dev ${DEVICE} onlink`,
    ]);
    await bridgeBatch(site.host(), [
      `fdb add ${PEER.mac} dev ${DEVICE} dst ${PEER.underlay} self permanent`,
    ]);
  },
  verify: async (site) => {
    const host = site.host();
    const { routes, neighbours, fdb } = await kernelOf(host);
    const whole =
      (await linkOf(host, DEVICE))?.up === true &&
      routes.some(({ destination, device }) => destination === ROUTE && device === DEVICE) &&
      neighbours.some(({ address, mac }) => address === PEER.address && mac === PEER.mac) &&
      fdb.some(({ device, destination }) => device === DEVICE && destination === PEER.underlay);
    return whole ? dumped(host, `${DEVICE} with route, neighbour and FDB entry`) : undefined;
  },
  heal: async (site) => {
    if ((await linkOf(site.host(), DEVICE)) !== undefined) {
      await ipBatch(site.host(), [`link delete ${DEVICE}`]);
    }
  },
  verifyHealed: async (site) =>
    (await linkOf(site.host(), DEVICE)) === undefined
      ? dumped(site.host(), `no ${DEVICE}`)
      : undefined,
});
