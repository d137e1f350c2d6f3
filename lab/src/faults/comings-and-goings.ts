import type { LabHost } from "../hosts/host.ts";
import type { FaultSite, Parameter } from "./fault.ts";

export const COUNT: Parameter = {
  help: "how many (default 3)",
  byDefault: "3",
  value: { kind: "number", min: 1, max: 50 },
};

/** The hosts of these names that are there. */
export function hostsThere(site: FaultSite, names: readonly string[]): readonly LabHost[] {
  return site.otherHosts().filter(({ name }) => names.includes(name));
}

/** Whether each of these hosts is there, has its pod, and the store has a lease of each. */
export async function areMembers(site: FaultSite, names: readonly string[]): Promise<boolean> {
  const hosts = hostsThere(site, names);
  const owners = new Set((await site.leases()).map(({ publicIps }) => publicIps.ipv4));
  return (
    hosts.length === names.length &&
    hosts.every((host) => owners.has(publicIpOf(host)) && host.podAnchor !== undefined)
  );
}

/** Whether the store has no lease of any of these addresses. */
export async function haveNoLease(site: FaultSite, publicIps: readonly string[]): Promise<boolean> {
  const leases = await site.leases();
  return !leases.some((lease) => publicIps.includes(lease.publicIps.ipv4 ?? ""));
}

export function publicIpOf({ plan }: LabHost): string {
  return plan.addresses.find(({ family }) => family === "ipv4")?.address ?? "";
}
