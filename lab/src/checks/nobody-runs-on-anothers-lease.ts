import type { LeaseDetails } from "../observe/lease-details.ts";
import { type Finding, failIfAny, unknown } from "./verdict.ts";

/** What a host says by its process table and its subnet.env. */
export interface HostClaim {
  readonly host: string;
  readonly publicIps: readonly string[];
  readonly subnets: readonly string[];
  readonly agentRuns: boolean;
}

/**
 * No agent goes on with a subnet that the store says is somebody else's, who is no host of the lab (invariant B1). Unknown when
 * there is no such lease.
 */
export function nobodyRunsOnAnothersLease(
  claims: readonly HostClaim[],
  leases: readonly LeaseDetails[],
): Finding {
  const ours = new Set(claims.flatMap(({ publicIps }) => publicIps));
  const foreign = leases.filter(({ publicIps }) =>
    Object.values(publicIps).every((address) => !ours.has(address)),
  );
  if (foreign.length === 0) {
    return unknown("no lease has an owner that is no host");
  }
  const taken = new Map(
    foreign.flatMap(({ subnets, publicIps }) =>
      Object.values(subnets).map((subnet) => [subnet, publicIps.ipv4 ?? "another"] as const),
    ),
  );
  return failIfAny(
    claims
      .filter(({ agentRuns }) => agentRuns)
      .flatMap(({ host, subnets }) =>
        subnets
          .filter((subnet) => taken.has(subnet))
          .map((subnet) => `${host} runs with ${subnet}, which ${taken.get(subnet)} holds`),
      ),
    `no agent runs with ${[...taken.keys()].join(", ")}`,
  );
}
