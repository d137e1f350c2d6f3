import { addToAddress, formatAddress, parseAddress } from "../../addresses.ts";
import { LabError } from "../../errors.ts";
import { type EndpointAddress, EXTERNAL_INTERFACE } from "../../topology.ts";
import { addressLines, cidrOf } from "../address-lines.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { allSeen, dumped, ipBatch, linkOf } from "../host-kernel.ts";

interface Target {
  readonly before: readonly EndpointAddress[];
  readonly after: readonly EndpointAddress[];
}

/** New addresses are this much further on: beyond those of the hosts of a lab of a usual size. */
const STEP = 100n;
const MAX_INDEX = 100;

export const changeAddress: AnyFault = defineFault<Target>({
  name: "change-address",
  summary:
    "Renumbers the external interface of a host: its addresses go, others of the same segments come.",
  place: "host",
  parameters: {},
  timeLimitMs: 2000,
  aim: async (site) => {
    const { plan } = site.host();
    if (plan.index > MAX_INDEX) {
      throw new LabError("wrong-state", `only n1 to n${MAX_INDEX} have a second address`);
    }
    return { before: plan.addresses, after: plan.addresses.map(moved) };
  },
  inject: async (site, { before, after }) => {
    await ipBatch(site.host(), addressLines(before, after));
    site.host().readdress(after);
  },
  verify: async (site, { before, after }) =>
    allSeen(site, [
      ...before.map(({ address }) => ({
        what: `the removal of ${address}`,
        is: isAddress("remove", address),
      })),
      ...after.map(({ address }) => ({
        what: `address ${address}`,
        is: isAddress("put", address),
      })),
    ]),
  heal: async (site, { before, after }) => {
    const there = (await linkOf(site.host(), EXTERNAL_INTERFACE))?.addresses ?? [];
    if (after.some((address) => there.includes(cidrOf(address)))) {
      await ipBatch(site.host(), addressLines(after, before));
    }
    site.host().readdress(before);
  },
  verifyHealed: async (site, { before }) => {
    const there = (await linkOf(site.host(), EXTERNAL_INTERFACE))?.addresses ?? [];
    return before.every((address) => there.includes(cidrOf(address)))
      ? dumped(site.host(), before.map(cidrOf).join(", "))
      : undefined;
  },
});

function moved(address: EndpointAddress): EndpointAddress {
  const parsed = parseAddress(address.address);
  return parsed === undefined
    ? address
    : { ...address, address: formatAddress(addToAddress(parsed, STEP)) };
}

function isAddress(
  kind: "put" | "remove",
  address: string,
): Parameters<typeof allSeen>[1][number]["is"] {
  return (event) =>
    event.kind === kind && event.object === "address" && event.address.address === address;
}
