/**
 * The external interface as it is now, against what was chosen: the choice stands as long as it can be used. Pure, like the choice
 * itself (external-interface.ts).
 */
import { AgentError } from "./errors.ts";
import { chooseExternalInterface } from "./external-interface.ts";
import type {
  ChosenInterface,
  InterfaceCandidate,
  InterfaceQuestion,
} from "./external-interface.ts";
import { FAMILIES, cidrAddress, isLinkLocal } from "./ip.ts";
import type { Family, Ip } from "./ip.ts";

export interface Following {
  /** As it is now; where something is missing, as it was before. */
  readonly external: ChosenInterface;
  /** What is missing, in words that stay the same as long as it is; empty when all is well. */
  readonly problems: readonly string[];
  /** Whether there is no such interface at all. */
  readonly gone: boolean;
}

/**
 * Keeps the interface, under whatever name, and each address that is still there, however many others there are. An address that is gone
 * is replaced, in its family alone, by what the options would choose on this interface. A device that was made anew under the
 * same name counts as the same.
 */
export function followExternalInterface(
  chosen: ChosenInterface,
  question: InterfaceQuestion,
): Following {
  const { interfaces } = question;
  const now =
    interfaces.find(({ index }) => index === chosen.index) ??
    interfaces.find(({ name }) => name === chosen.name);
  if (now === undefined)
    return { external: chosen, gone: true, problems: [`interface ${chosen.name} is gone`] };
  const { name, index, mtu } = now;
  // A device that is down has lost addresses which come back with it.
  const problem = now.up ? undefined : "is down";
  if (problem !== undefined || mtu === 0)
    return {
      external: { ...chosen, name, index },
      gone: false,
      problems: [`interface ${name} ${problem ?? "has MTU 0"}`],
    };
  return followAddresses({ ...chosen, name, index, mtu }, now, question);
}

function followAddresses(
  chosen: ChosenInterface,
  now: InterfaceCandidate,
  question: InterfaceQuestion,
): Following {
  const problems: string[] = [];
  let external = chosen;
  for (const family of FAMILIES) {
    const { [family]: address } = chosen.addresses;
    if (address === undefined || holds(now, address)) continue;
    const found = findAnother(now, family, question);
    const another = found?.addresses[family];
    // The kernel's own address of the link is there while another one is exchanged, and would be kept as long as it is.
    const isLesser = another !== undefined && isLinkLocal(another) && !isLinkLocal(address);
    if (found === undefined || isLesser)
      problems.push(
        `interface ${now.name} has lost its address ${address} and has no other IPv${family} address that the options allow`,
      );
    else
      external = {
        ...external,
        addresses: { ...external.addresses, [family]: found.addresses[family] },
        publicIps: { ...external.publicIps, [family]: found.publicIps[family] },
      };
  }
  return { external, problems, gone: false };
}

function holds({ addresses }: InterfaceCandidate, ip: Ip): boolean {
  return addresses.some(({ address }) => cidrAddress(address) === ip);
}

/** What the options say when this interface is the only one: with the other family first, since one option may decide for both. */
function findAnother(
  now: InterfaceCandidate,
  family: Family,
  { wishes, config, reach }: InterfaceQuestion,
): ChosenInterface | undefined {
  const { [family]: range } = config.ranges;
  if (range === undefined) return undefined;
  for (const ranges of [config.ranges, { [family]: range }])
    try {
      return chooseExternalInterface({
        wishes,
        config: { ranges },
        interfaces: [now],
        defaultRoutes: FAMILIES.map((each) => ({ family: each, link: now.name })),
        reach: reach?.link === now.name ? reach : { link: now.name },
      });
    } catch (error) {
      if (!(error instanceof AgentError && error.code === "external-interface-not-found"))
        throw error;
    }
  return undefined;
}
