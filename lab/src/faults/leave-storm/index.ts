import { LabError } from "../../errors.ts";
import { areMembers, COUNT, haveNoLease, hostsThere, publicIpOf } from "../comings-and-goings.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  readonly names: readonly string[];
  readonly publicIps: readonly string[];
}

export const leaveStorm: AnyFault = defineFault<Target>({
  name: "leave-storm",
  summary:
    "Takes the hosts with the highest numbers away at once, and ends their leases; healing makes them anew.",
  place: "lab",
  parameters: { hosts: COUNT },
  timeLimitMs: 30_000,
  aim: async (site, { parameters }) => {
    const hosts = site.otherHosts().toSorted((a, b) => b.plan.index - a.plan.index);
    const going = hosts.slice(0, Number(parameters["hosts"]));
    if (going.length === hosts.length) {
      throw new LabError("wrong-state", `one host at least must stay; there are ${hosts.length}`);
    }
    return { names: going.map(({ name }) => name), publicIps: going.map(publicIpOf) };
  },
  inject: async (site, { names }) => {
    await Promise.all(names.map((name) => site.removeHost(name)));
  },
  verify: async (site, { names, publicIps }) =>
    hostsThere(site, names).length === 0 && (await haveNoLease(site, publicIps))
      ? { saw: `the store has no leases of ${names.join(", ")}` }
      : undefined,
  heal: async (site, { names }) => {
    const there = new Set(hostsThere(site, names).map(({ name }) => name));
    await Promise.all(names.filter((name) => !there.has(name)).map((name) => site.addHost(name)));
  },
  verifyHealed: async (site, { names }) =>
    (await areMembers(site, names))
      ? { saw: `the store has leases of ${names.join(", ")}, and each has a pod` }
      : undefined,
});
