/**
 * Which packets of pods keep their source, which are masqueraded and which are let through, as plain data for both firewalls:
 *
 *   network, own subnet, flags ─► planTrafficRules ─► wanted rules ─┐
 *   rules that stand in flannel's chain, own networks so far ───────┴─► planChain ─► what the chain shall hold
 *
 * Several agents on one node share flannel's chains (spec 01 section 13): of a chain only the rules about our own networks, now or
 * before, are ours, and those about other networks stay. Source: spec 06.
 */
import { containsIp, familyOf, overlaps } from "./ip.ts";
import type { Cidr, Family } from "./ip.ts";

/** What the rules of a chain are for. */
export const PURPOSES = ["masquerade", "forward"] as const;
export type Purpose = (typeof PURPOSES)[number];

export interface PrefixMatch {
  readonly prefix: Cidr;
  /** Fits every address outside the prefix instead. */
  readonly negated: boolean;
}

/** Fits a packet whose mark, masked, has this value. */
export interface MarkMatch {
  readonly value: number;
  readonly mask: number;
}

/** A packet that fits everything given is dealt with as the verdict says. */
export interface TrafficRule {
  readonly mark?: MarkMatch;
  readonly source?: PrefixMatch;
  readonly destination?: PrefixMatch;
  readonly verdict: "return" | "accept" | "masquerade";
  /** Of a masquerade: source ports are drawn at random, which keeps two connections from being given the same one. */
  readonly fullyRandom: boolean;
}

/** In the order in which they are asked; empty where nothing is wanted. */
export type TrafficRules = Readonly<Record<Purpose, readonly TrafficRule[]>>;

/** What one address family of a node is to have. */
export interface TrafficWish {
  /** Absent when the family is not in use; then nothing is wanted. */
  readonly pods?: {
    /** The cluster's whole pod range. */
    readonly network: Cidr;
    /** The own lease's. */
    readonly subnet: Cidr;
  };
  readonly masquerade: boolean;
  readonly forward: boolean;
  readonly fullyRandom: boolean;
  /** Networks of this node's configuration, now and before: rules about them are ours. */
  readonly ownNetworks: readonly Cidr[];
}

/** The bit by which kube-proxy marks what it masquerades itself. Source: kubernetes pkg/proxy/iptables, masqueradeBit 14. */
const KUBE_PROXY_MARK: MarkMatch = { value: 0x4000, mask: 0x4000 };

/** RFC 5771, RFC 4291 section 2.7. */
const MULTICAST: Readonly<Record<Family, Cidr>> = {
  4: "224.0.0.0/4" as Cidr,
  6: "ff00::/8" as Cidr,
};

/** Leaves kube-proxy's packets to kube-proxy. It speaks of no network, so that all agents of a node share it. */
const LEAVE_MARKED: TrafficRule = { mark: KUBE_PROXY_MARK, verdict: "return", fullyRandom: false };

/** Source: spec 06 sections 1.1 and 1.2. */
export function planTrafficRules(wish: Omit<TrafficWish, "ownNetworks">): TrafficRules {
  const { pods, fullyRandom } = wish;
  if (pods === undefined) return { masquerade: [], forward: [] };
  const network = within(pods.network);
  const subnet = within(pods.subnet);
  const returns = { verdict: "return", fullyRandom: false } as const;
  const masquerades = { verdict: "masquerade", fullyRandom } as const;
  const accepts = { verdict: "accept", fullyRandom: false } as const;
  const masquerade: readonly TrafficRule[] = [
    LEAVE_MARKED,
    // Pod to pod, on the way out and on the way in.
    { source: subnet, destination: network, ...returns },
    { source: network, destination: subnet, ...returns },
    // From outside to a pod of this node: its answers come back through here in any case.
    { source: outside(network), destination: subnet, ...returns },
    { source: network, destination: outside(within(multicastOf(pods.network))), ...masquerades },
    // Through this node to a pod of another one, whose answers would go elsewhere.
    { source: outside(network), destination: network, ...masquerades },
  ];
  return {
    masquerade: wish.masquerade ? masquerade : [],
    forward: wish.forward
      ? [
          { source: network, ...accepts },
          { destination: network, ...accepts },
        ]
      : [],
  };
}

/** What a chain of flannel's shall hold. */
export interface ChainPlan {
  /** Whether it holds that already. */
  readonly isRight: boolean;
  /** None: the chain shall not be there. */
  readonly rules: readonly TrafficRule[];
}

/**
 * Compares the whole chain with the wish. The order of our rules counts, not where the rules of other agents stand between them: their
 * networks are apart from ours. What is no rule of flannel's shape goes.
 * @param standing in their order, undefined for what is no rule of ours or of another agent; undefined when there is no chain
 */
export function planChain(
  standing: readonly (TrafficRule | undefined)[] | undefined,
  wanted: readonly TrafficRule[],
  { purpose, ownNetworks }: { readonly purpose: Purpose; readonly ownNetworks: readonly Cidr[] },
): ChainPlan {
  const kinds = (standing ?? []).map((rule) => kindOf(rule, purpose, ownNetworks));
  const ofKind = (kind: Kind): readonly TrafficRule[] =>
    (standing ?? []).flatMap((rule, index) =>
      rule !== undefined && kinds[index] === kind ? [rule] : [],
    );
  const others = ofKind("other");
  const wantsShared = wanted.some(isShared) || (others.length > 0 && kinds.includes("shared"));
  const own = wanted.filter((rule) => !isShared(rule));
  const rules = [...(wantsShared ? [LEAVE_MARKED] : []), ...own, ...others];
  if (standing === undefined || rules.length === 0)
    return { isRight: standing === undefined && rules.length === 0, rules };
  const [first] = standing;
  const hasShared = first !== undefined && isSameRule(first, LEAVE_MARKED);
  const sharedCount = kinds.filter((kind) => kind === "shared").length;
  const isRight =
    !kinds.includes("alien") &&
    isSameList(ofKind("own"), own) &&
    sharedCount === (wantsShared ? 1 : 0) &&
    hasShared === wantsShared;
  return { isRight, rules };
}

/** Whether a rule concerns one of these networks, and so belongs to the node's own configuration. */
export function isAbout(rule: TrafficRule, networks: readonly Cidr[]): boolean {
  return prefixesOf(rule).some((prefix) => networks.some((network) => overlaps(network, prefix)));
}

/** Equal rules match and do the same. */
export function isSameRule(a: TrafficRule, b: TrafficRule): boolean {
  return (
    a.verdict === b.verdict &&
    a.fullyRandom === b.fullyRandom &&
    a.mark?.value === b.mark?.value &&
    a.mark?.mask === b.mark?.mask &&
    isSameMatch(a.source, b.source) &&
    isSameMatch(a.destination, b.destination)
  );
}

type Kind = "own" | "other" | "shared" | "alien";

function kindOf(
  rule: TrafficRule | undefined,
  purpose: Purpose,
  ownNetworks: readonly Cidr[],
): Kind {
  if (rule === undefined) return "alien";
  if (isShared(rule)) return "shared";
  if (isAbout(rule, ownNetworks)) return "own";
  return hasFlannelShape(rule, purpose) ? "other" : "alien";
}

/** Also in the reference's nftables form, which compares the whole mark (spec 10 N2). */
function isShared({ mark, source, destination, verdict }: TrafficRule): boolean {
  return (
    mark?.value === KUBE_PROXY_MARK.value &&
    source === undefined &&
    destination === undefined &&
    verdict === "return"
  );
}

/** As an agent for another network writes them: whole networks and their parts, and multicast. */
function hasFlannelShape(
  { mark, source, destination, verdict }: TrafficRule,
  purpose: Purpose,
): boolean {
  if (mark !== undefined || (verdict === "accept") !== (purpose === "forward")) return false;
  if (verdict === "accept")
    return (
      (source === undefined) !== (destination === undefined) && !isNegated(source, destination)
    );
  if (source === undefined || destination === undefined) return false;
  const [a, b] = [source.prefix, destination.prefix];
  return containsIp(a, b) || containsIp(b, a) || (destination.negated && isMulticastRange(b));
}

function isNegated(...matches: readonly (PrefixMatch | undefined)[]): boolean {
  return matches.some((match) => match?.negated === true);
}

/** Without multicast as what is left out, which is nobody's network. */
function prefixesOf({ source, destination }: TrafficRule): readonly Cidr[] {
  const isLeftOut = destination?.negated === true && isMulticastRange(destination.prefix);
  return [source, isLeftOut ? undefined : destination].flatMap((match) =>
    match === undefined ? [] : [match.prefix],
  );
}

function isMulticastRange(prefix: Cidr): boolean {
  return prefix === multicastOf(prefix);
}

function multicastOf(prefix: Cidr): Cidr {
  return MULTICAST[familyOf(prefix)];
}

function within(prefix: Cidr): PrefixMatch {
  return { prefix, negated: false };
}

function outside({ prefix }: PrefixMatch): PrefixMatch {
  return { prefix, negated: true };
}

function isSameMatch(a: PrefixMatch | undefined, b: PrefixMatch | undefined): boolean {
  return a?.prefix === b?.prefix && a?.negated === b?.negated;
}

function isSameList(a: readonly TrafficRule[], b: readonly TrafficRule[]): boolean {
  return (
    a.length === b.length &&
    a.every((rule, index) => {
      const other = b[index];
      return other !== undefined && isSameRule(rule, other);
    })
  );
}
