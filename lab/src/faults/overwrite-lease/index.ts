import { addToAddress, formatAddress, networkOf, parseCidr } from "../../addresses.ts";
import { LabError } from "../../errors.ts";
import type { EndpointAddress } from "../../topology.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtLease, entryOf, type LeaseTarget } from "../held-lease.ts";

interface Target extends LeaseTarget {
  /** The lease as another node would have written it. */
  readonly foreign: string;
}

/** The other owner's place on the segment: hosts of a lab end with 250, a broadcast address is 255. */
const OWNER_HOST = 254n;
/** Locally administered; no host of a lab has them. */
const OWNER_MACS = { BackendData: "02:00:00:00:0c:02", BackendV6Data: "02:00:00:00:0c:03" };

export const overwriteLease: AnyFault = defineFault<Target>({
  name: "overwrite-lease",
  summary:
    "Writes the lease of another owner, which does not run out, under the key of a host's lease.",
  place: "host",
  parameters: {},
  timeLimitMs: 2000,
  aim: async (site) => {
    const { entry } = await aimAtLease(site);
    return { entry, foreign: leaseOfAnother(entry.value, site.host().plan.addresses) };
  },
  inject: ({ store }, { entry, foreign }) => store.gateway.put(entry.key, foreign),
  // An agent that writes over it at once does not make it unseen: that is what a scenario is to find out.
  verify: async (site, { entry, foreign }) => {
    const now = await entryOf(site, entry.key);
    if (now?.modRevision === entry.modRevision) {
      return undefined;
    }
    return {
      saw:
        now?.value === foreign
          ? `the store has another owner's lease under ${entry.key}`
          : `the store has another ${entry.key} than before, and not the other owner's any more`,
    };
  },
  // Its former owner has given the subnet up by now: there is nothing to be put back.
  heal: async (site, { entry, foreign }) => {
    if ((await entryOf(site, entry.key))?.value === foreign) {
      await site.store.gateway.remove(entry.key);
    }
  },
  verifyHealed: async (site, { entry, foreign }) =>
    (await entryOf(site, entry.key))?.value === foreign
      ? undefined
      : { saw: `the store has no lease of the other owner under ${entry.key}` },
});

/** Another address in each family, and other hardware addresses; the rest stays. @throws LabError "wrong-state" */
function leaseOfAnother(value: string, addresses: readonly EndpointAddress[]): string {
  const lease: unknown = JSON.parse(value);
  if (typeof lease !== "object" || lease === null) {
    throw new LabError("wrong-state", "the lease is no JSON object");
  }
  const owners = addresses.map(({ family, address, prefixLength }) => [
    family === "ipv4" ? "PublicIP" : "PublicIPv6",
    onSegmentOf(`${address}/${prefixLength}`),
  ]);
  const macs = Object.entries(OWNER_MACS).flatMap(([member, VtepMAC]) => {
    const data: unknown = Reflect.get(lease, member);
    return typeof data === "object" && data !== null && "VtepMAC" in data
      ? [[member, { ...data, VtepMAC }]]
      : [];
  });
  return JSON.stringify({ ...lease, ...Object.fromEntries([...owners, ...macs]) });
}

function onSegmentOf(text: string): string {
  const cidr = parseCidr(text);
  return cidr === undefined
    ? text
    : formatAddress(addToAddress(networkOf(cidr).address, OWNER_HOST));
}
