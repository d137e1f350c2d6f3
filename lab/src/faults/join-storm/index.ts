import { areMembers, COUNT, haveNoLease, hostsThere, publicIpOf } from "../comings-and-goings.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  readonly names: readonly string[];
  /** Known when they are there. */
  readonly publicIps: string[];
}

export const joinStorm: AnyFault = defineFault<Target>({
  name: "join-storm",
  summary: "Adds several hosts at once; healing takes them away again, and ends their leases.",
  place: "lab",
  parameters: { hosts: COUNT },
  timeLimitMs: 90_000,
  aim: async (site, { parameters }) => ({
    names: site.newNames(Number(parameters["hosts"])),
    publicIps: [],
  }),
  inject: async (site, { names, publicIps }) => {
    await Promise.all(names.map((name) => site.addHost(name)));
    publicIps.push(...hostsThere(site, names).map(publicIpOf));
  },
  verify: async (site, { names }) =>
    (await areMembers(site, names))
      ? { saw: `the store has leases of ${names.join(", ")}, and each has a pod` }
      : undefined,
  heal: async (site, { names }) => {
    await Promise.all(hostsThere(site, names).map(({ name }) => site.removeHost(name)));
  },
  verifyHealed: async (site, { names, publicIps }) =>
    hostsThere(site, names).length === 0 && (await haveNoLease(site, publicIps))
      ? { saw: `the store has no leases of ${names.join(", ")}` }
      : undefined,
});
