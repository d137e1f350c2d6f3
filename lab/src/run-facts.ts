import type { IpFamily } from "./addresses.ts";
import type { NetworkFactsOfRun } from "./checks/kernel-equals-leases.ts";
import { NETWORKS, OTHER_NETWORKS, readNetworkFacts } from "./network-config.ts";
import type { LabOptions } from "./options.ts";
import type { Variant } from "./scenario.ts";

/** Prefix length of every underlay segment. Source: topology.ts. */
const SEGMENT_LENGTHS = { ipv4: 24, ipv6: 64 } as const;

/** What the checks of a run must know of its network, by the scenario's variant. */
export function factsOfVariant({ backend, backendOptions, family }: Variant): NetworkFactsOfRun {
  const families: readonly IpFamily[] = family === "dual" ? ["ipv4", "ipv6"] : ["ipv4"];
  const directRouting = backendOptions?.["DirectRouting"] === true;
  return factsOf({ backend, directRouting, families }, NETWORKS);
}

/** The same by what the lab was made with. */
export function factsOfLab({
  networkConfigText,
  families,
}: Pick<LabOptions, "networkConfigText" | "families">): NetworkFactsOfRun {
  const { backend = "", directRouting, networks } = readNetworkFacts(networkConfigText);
  return factsOf({ backend, directRouting, families }, networks);
}

function factsOf(
  facts: Pick<NetworkFactsOfRun, "backend" | "directRouting" | "families">,
  networks: Readonly<Record<IpFamily, string | undefined>>,
): NetworkFactsOfRun {
  const known = (family: IpFamily): readonly string[] =>
    [networks[family], OTHER_NETWORKS[family]].filter((network) => network !== undefined);
  return {
    ...facts,
    segmentLengths: SEGMENT_LENGTHS,
    networks: { ipv4: known("ipv4"), ipv6: known("ipv6") },
  };
}
