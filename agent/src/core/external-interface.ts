/**
 * Which interface and addresses peers reach this node through. Everything about the machine was gathered before; here is
 * only the choice, for each family by itself. Source: spec 01 section 5, flannel pkg/ipmatch/match.go LookupExtIface.
 */
import { AgentError } from "./errors.ts";
import { FAMILIES, cidrAddress, familyOf, isGlobalUnicast, isLinkLocal, tryParseIp } from "./ip.ts";
import type { Cidr, Family, Ip, PerFamily } from "./ip.ts";
import { parseInterfacePattern } from "./interface-pattern.ts";
import type { NetworkConfig } from "./network-config.ts";
import { formatOption } from "./option-text.ts";

/** The interface options as given; an empty text is an option not given. */
export interface InterfaceWishes {
  /** `iface`: names or local addresses. */
  readonly names: readonly string[];
  /** `iface-regex`. */
  readonly patterns: readonly string[];
  /** `iface-can-reach`. */
  readonly canReach: string;
  /** `public-ip`. */
  readonly publicIp: string;
  /** `public-ipv6`. */
  readonly publicIpv6: string;
}

/** What has to be known about an interface of this machine. */
export interface InterfaceCandidate {
  readonly name: string;
  readonly index: number;
  readonly mtu: number;
  readonly up: boolean;
  /** In kernel order. */
  readonly addresses: readonly CandidateAddress[];
}

export interface CandidateAddress {
  readonly address: Cidr;
  readonly deprecated: boolean;
  readonly permanent: boolean;
  readonly temporary: boolean;
}

export interface InterfaceQuestion {
  readonly wishes: InterfaceWishes;
  readonly config: Pick<NetworkConfig, "ranges">;
  readonly interfaces: readonly InterfaceCandidate[];
  /** Of table main, in dump order; `link` absent for a route with several output interfaces. */
  readonly defaultRoutes: readonly { readonly family: Family; readonly link?: string }[];
  /** The kernel's route to `wishes.canReach`, if that was given and there is one. */
  readonly reach: { readonly link: string; readonly source?: Ip } | undefined;
}

/** The interface peers reach us through. */
export interface ExternalInterface {
  readonly name: string;
  readonly mtu: number;
  /** The interface's own address per enabled family: what packets leave with. */
  readonly addresses: PerFamily<Ip>;
  /** What peers send to; differs from `addresses` behind NAT. */
  readonly publicIps: PerFamily<Ip>;
}

/** The interface as it was chosen; the kernel's index tells it from another one of its name. */
export interface ChosenInterface extends ExternalInterface {
  readonly index: number;
}

/** What the search goes by, in the order of the options. */
interface Search {
  readonly families: readonly Family[];
  /** By kernel index. */
  readonly interfaces: readonly InterfaceCandidate[];
  readonly publicIps: PerFamily<Ip>;
}

type Found = Omit<ChosenInterface, "publicIps">;

/** One thing that was asked for; `find` answers with the reason when it leads nowhere. */
interface Attempt {
  readonly asked: string;
  readonly find: () => Found | string;
}

const CAN_REACH_OPTION = "iface-can-reach";
const PUBLIC_IP_OPTION: Readonly<Record<Family, string>> = { 4: "public-ip", 6: "public-ipv6" };
/** Named in an error; a node with more has hundreds of pod interfaces. */
const MAX_LISTED = 20;

/**
 * The first interface that any option leads to, in the order of the options; without one, that of the default route.
 * @throws AgentError "external-interface-not-found" naming what was asked for and what there is
 * @throws AgentError "options-invalid" for an address or expression that cannot be read
 * @throws AgentError "config-invalid" when no family is enabled
 */
export function chooseExternalInterface(question: InterfaceQuestion): ChosenInterface {
  const search: Search = {
    families: FAMILIES.filter((family) => question.config.ranges[family] !== undefined),
    interfaces: question.interfaces.toSorted((a, b) => a.index - b.index),
    publicIps: readPublicIps(question.wishes),
  };
  if (search.families.length === 0)
    throw new AgentError(
      "config-invalid",
      "none defined stack: set EnableIPv4 or EnableIPv6 to true in the network config",
    );
  const refusals: string[] = [];
  for (const { asked, find } of listAttempts(question, search)) {
    const found = find();
    if (typeof found !== "string")
      return { ...found, publicIps: { ...found.addresses, ...search.publicIps } };
    refusals.push(`${asked}: ${found}`);
  }
  throw notFound(refusals, search);
}

/** Whether the options can be read at all, for who wants to know before the machine is asked. @throws AgentError "options-invalid" */
export function checkInterfaceWishes(wishes: InterfaceWishes): void {
  readPublicIps(wishes);
  for (const pattern of wishes.patterns) parseInterfacePattern(pattern);
  if (wishes.canReach !== "") readOption(CAN_REACH_OPTION, wishes.canReach);
}

/** The lines that the reference logs of a choice, and operators look for. Source: spec 01 sections 5 and 11. */
export function describeChoice(
  wishes: InterfaceWishes,
  { name, addresses, publicIps }: ExternalInterface,
): readonly string[] {
  const { names, patterns, canReach } = wishes;
  const isFree = [...names, ...patterns, canReach, wishes.publicIp, wishes.publicIpv6].every(
    (text) => text === "",
  );
  const lines = isFree ? ["Determining IP address of default interface"] : [];
  for (const [family, kind, wish] of [
    [4, "", wishes.publicIp],
    [6, "v6 ", wishes.publicIpv6],
  ] as const) {
    const address = addresses[family];
    if (address !== undefined)
      lines.push(`Using interface with name ${name} and ${kind}address ${address}`);
    const publicIp = publicIps[family];
    if (publicIp === undefined) continue;
    lines.push(
      wish === ""
        ? `Defaulting external ${kind}address to interface address (${publicIp})`
        : `Using ${publicIp} as external ${kind}address`,
    );
  }
  return lines;
}

function readPublicIps({ publicIp, publicIpv6 }: InterfaceWishes): PerFamily<Ip> {
  const publicIps: Partial<Record<Family, Ip>> = {};
  for (const [family, text] of [
    [4, publicIp],
    [6, publicIpv6],
  ] as const)
    if (text !== "") publicIps[family] = readOption(PUBLIC_IP_OPTION[family], text, family);
  return publicIps;
}

function readOption(option: string, text: string, family?: Family): Ip {
  const address = tryParseIp(text);
  if (address === undefined || (family !== undefined && familyOf(address) !== family))
    throw new AgentError(
      "options-invalid",
      `${formatOption(option, text)}: expected an ${family === undefined ? "IP" : `IPv${family}`} address`,
    );
  return address;
}

/** Reads all options before any is followed, so that a bad one is told of even if an earlier one would do. */
function listAttempts(question: InterfaceQuestion, search: Search): readonly Attempt[] {
  const { wishes, reach } = question;
  // flannel takes an empty name, as from an unset variable, for none given.
  const byDefault = (): Found | string => findByDefaultRoute(question.defaultRoutes, search);
  const attempts: Attempt[] = wishes.names.map((name) => {
    const address = tryParseIp(name);
    return {
      asked: formatOption("iface", name),
      find: () => {
        if (name === "") return byDefault();
        return address === undefined ? findByName(name, search) : findByAddress(address, search);
      },
    };
  });
  for (const text of wishes.patterns) {
    const pattern = parseInterfacePattern(text);
    attempts.push({
      asked: formatOption("iface-regex", text),
      find: () => (text === "" ? byDefault() : findByPattern(pattern, search)),
    });
  }
  if (wishes.canReach !== "") {
    const target = readOption(CAN_REACH_OPTION, wishes.canReach);
    attempts.push({
      asked: formatOption(CAN_REACH_OPTION, wishes.canReach),
      find: () => findByRoute(target, reach, search),
    });
  }
  if (attempts.length > 0) return attempts;

  const [family] = search.families.filter((each) => search.publicIps[each] !== undefined);
  const publicIp = family === undefined ? undefined : search.publicIps[family];
  if (family === undefined || publicIp === undefined)
    return [{ asked: "default route", find: byDefault }];
  const find = (): Found | string => {
    const found = findByAddress(publicIp, search);
    return typeof found === "string" ? `${found}; behind NAT, give --iface as well` : found;
  };
  return [{ asked: formatOption(PUBLIC_IP_OPTION[family], publicIp), find }];
}

function findByName(name: string, search: Search): Found | string {
  const found = search.interfaces.find((candidate) => candidate.name === name);
  return found === undefined ? "no such interface" : complete(found, {}, search);
}

function findByAddress(address: Ip, search: Search): Found | string {
  const family = familyOf(address);
  if (!search.families.includes(family)) return `IPv${family} is not enabled in the network config`;
  const owner = ownerOf(address, search);
  if (owner === undefined) return "no interface has this address";
  const { 6: publicIpv6 } = search.publicIps;
  if (family === 6 || publicIpv6 === undefined || !search.families.includes(6))
    return complete(owner, { [family]: address }, search);
  // Beside an IPv4 address, a public IPv6 address is the interface's own one too, not one behind NAT.
  const other = ownerOf(publicIpv6, search);
  if (other === undefined) return `no interface has --public-ipv6=${publicIpv6}`;
  if (other.name !== owner.name)
    return `v6 interface ${other.name} must be the same with v4 interface ${owner.name}`;
  return complete(owner, { 4: address, 6: publicIpv6 }, search);
}

/** By address first, then by name; each pass takes the first interface that fits by itself. */
function findByPattern(pattern: RegExp, search: Search): Found | string {
  const matches = search.interfaces.map((candidate) => {
    const addresses: Partial<Record<Family, Ip>> = {};
    for (const family of search.families) {
      const match = usableAddresses(candidate, family).find((address) => pattern.test(address));
      if (match !== undefined) addresses[family] = match;
    }
    return { candidate, addresses, count: Object.keys(addresses).length };
  });
  const passes = [
    matches.filter(({ count }) => count === search.families.length),
    // An expression for the addresses of one family decides for the other as well: same interface.
    matches.filter(({ count }) => count > 0),
    matches
      .filter(({ candidate }) => pattern.test(candidate.name))
      .map(({ candidate }) => ({ candidate, addresses: {} })),
  ];
  let reason: string | undefined;
  for (const { candidate, addresses } of passes.flat()) {
    const found = complete(candidate, addresses, search);
    if (typeof found !== "string") return found;
    reason ??= found;
  }
  return reason ?? "no address and no name matches";
}

function findByRoute(
  target: Ip,
  reach: InterfaceQuestion["reach"],
  search: Search,
): Found | string {
  if (reach === undefined) return "the kernel has no route to it";
  const found = search.interfaces.find(({ name }) => name === reach.link);
  if (found === undefined) return `its route leaves through ${reach.link}, which is gone`;
  const { source } = reach;
  const family = familyOf(target);
  if (source === undefined || !search.families.includes(family)) return complete(found, {}, search);
  return complete(found, { [family]: source }, search);
}

function findByDefaultRoute(
  routes: InterfaceQuestion["defaultRoutes"],
  search: Search,
): Found | string {
  const links: string[] = [];
  for (const family of search.families) {
    const route = routes.find((each) => each.family === family);
    if (route === undefined) return `there is no IPv${family} default route`;
    if (route.link === undefined)
      return `the IPv${family} default route has several output interfaces`;
    links.push(route.link);
  }
  const [name, ...others] = links;
  const different = others.find((other) => other !== name);
  if (name === undefined || different !== undefined)
    return `the default routes leave through different interfaces: ${links.join(" and ")}`;
  return findByName(name, search);
}

/** Adds the best address of each family that has none yet. */
function complete(
  candidate: InterfaceCandidate,
  known: PerFamily<Ip>,
  { families }: Search,
): Found | string {
  const { name, index, mtu } = candidate;
  if (mtu === 0) return `interface ${name} has MTU 0`;
  const addresses: Partial<Record<Family, Ip>> = {};
  for (const family of families) {
    const address = known[family] ?? usableAddresses(candidate, family)[0];
    if (address === undefined) return `interface ${name} has no usable IPv${family} address`;
    addresses[family] = address;
  }
  return { name, index, mtu, addresses };
}

/** Whatever its scope and flags, unlike an address that is chosen. */
function ownerOf(address: Ip, { interfaces }: Search): InterfaceCandidate | undefined {
  return interfaces.find((candidate) =>
    candidate.addresses.some((own) => cidrAddress(own.address) === address),
  );
}

/** Best first: beyond the link before link-local, permanent before not, temporary last, else kernel order. */
function usableAddresses(candidate: InterfaceCandidate, family: Family): readonly Ip[] {
  return candidate.addresses
    .map((own) => ({ ...own, ip: cidrAddress(own.address) }))
    .filter(
      ({ ip, deprecated }) =>
        familyOf(ip) === family && !deprecated && (isGlobalUnicast(ip) || isLinkLocal(ip)),
    )
    .toSorted(
      (a, b) =>
        Number(isLinkLocal(a.ip)) - Number(isLinkLocal(b.ip)) ||
        Number(b.permanent) - Number(a.permanent) ||
        Number(a.temporary) - Number(b.temporary),
    )
    .map(({ ip }) => ip);
}

function notFound(refusals: readonly string[], { families, interfaces }: Search): AgentError {
  const candidates = interfaces.flatMap((candidate) => {
    const addresses = families.flatMap((family) => usableAddresses(candidate, family));
    return addresses.length === 0 ? [] : [`${candidate.name} (${addresses.join(", ")})`];
  });
  const listed = candidates.slice(0, MAX_LISTED).join(", ");
  const more = candidates.length > MAX_LISTED ? `, ${candidates.length - MAX_LISTED} more` : "";
  const remedy =
    candidates.length === 0
      ? `no interface has a usable ${families.map((family) => `IPv${family}`).join(" or ")} address`
      : `name one with --iface; there are ${listed}${more}`;
  return new AgentError(
    "external-interface-not-found",
    `no external interface found (${refusals.join("; ")}): ${remedy}`,
  );
}
