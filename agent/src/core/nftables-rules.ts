/** Traffic rules in nft's words: what `nft -j list table` prints → one `nft -f -` text, or none when all is right. */
import { maskCidr, tryParseCidr } from "./ip.ts";
import type { Cidr, Family } from "./ip.ts";
import { PURPOSES, planChain, planTrafficRules } from "./traffic-rules.ts";
import type { PrefixMatch, Purpose, TrafficRule, TrafficWish } from "./traffic-rules.ts";

/** Source: spec 06 section 2. */
interface NftFamily {
  /** As nft names the family, and the protocol in a rule. */
  readonly name: "ip" | "ip6";
  readonly table: string;
}

export const NFT_FAMILIES: Readonly<Record<Family, NftFamily>> = {
  4: { name: "ip", table: "flannel-ipv4" },
  6: { name: "ip6", table: "flannel-ipv6" },
};

/** A base chain: where in the kernel it hangs. */
interface Place {
  readonly chain: string;
  readonly type: string;
  readonly hook: string;
  readonly priority: number;
  readonly comment: string;
}

const PLACES: Readonly<Record<Purpose, Place>> = {
  masquerade: {
    chain: "postrtg",
    type: "nat",
    hook: "postrouting",
    priority: 100,
    comment: "chain to manage traffic masquerading by flannel",
  },
  forward: {
    chain: "forward",
    type: "filter",
    hook: "forward",
    priority: 0,
    comment: "chain to accept flannel traffic",
  },
};

/** What `nft -j list table` says of flannel's table. */
export interface NftablesState {
  readonly chains: Readonly<Partial<Record<Purpose, StandingChain>>>;
  /** Whether there is anything in the table besides flannel's two chains. */
  readonly hasOtherObjects: boolean;
}

interface StandingChain {
  /** Whether it hangs where flannel's does, and lets pass what it has no rule for. */
  readonly isInPlace: boolean;
  readonly rules: readonly (TrafficRule | undefined)[];
}

/** Reads the whole output; undefined when it is not nft's. */
export function readNftables(text: string, family: Family): NftablesState | undefined {
  const objects = parseObjects(text);
  if (objects === undefined) return undefined;
  const chains: Partial<
    Record<Purpose, { isInPlace: boolean; rules: (TrafficRule | undefined)[] }>
  > = {};
  let hasOtherObjects = false;
  for (const object of objects) {
    const chain = memberOf(object, "chain");
    const rule = memberOf(object, "rule");
    const purpose = purposeOf(memberOf(chain, "name") ?? memberOf(rule, "chain"));
    if (chain !== undefined && purpose !== undefined)
      chains[purpose] = { isInPlace: isInPlace(chain, PLACES[purpose]), rules: [] };
    else if (rule !== undefined && purpose !== undefined)
      chains[purpose]?.rules.push(parseRule(rule, family));
    else if (memberOf(object, "metainfo") === undefined && memberOf(object, "table") === undefined)
      hasOtherObjects = true;
  }
  return { chains, hasOtherObjects };
}

/** What the nft program and the kernel can do; old ones refuse what they do not know. */
export interface NftablesFeatures {
  /** Comments on tables and chains. */
  readonly comments: boolean;
  readonly fullyRandom: boolean;
}

/**
 * The input of `nft -f -` that makes flannel's rules as wished, one transaction; undefined when they are.
 * @param standing undefined when there is no table
 */
export function planNftables(
  family: Family,
  standing: NftablesState | undefined,
  wish: TrafficWish,
  features: NftablesFeatures,
): string | undefined {
  const { name, table } = NFT_FAMILIES[family];
  const wanted = planTrafficRules({
    ...wish,
    fullyRandom: wish.fullyRandom && features.fullyRandom,
  });
  const at = `${name} ${table}`;
  const lines: string[] = [];
  let isTableEmpty = standing?.hasOtherObjects !== true;
  for (const purpose of PURPOSES) {
    const chain = standing?.chains[purpose];
    const plan = planChain(chain?.rules, wanted[purpose], {
      purpose,
      ownNetworks: wish.ownNetworks,
    });
    if (plan.rules.length > 0) isTableEmpty = false;
    if (plan.isRight && chain?.isInPlace !== false) continue;
    lines.push(...chainLines(family, PLACES[purpose], { plan, chain, features }));
  }
  if (standing !== undefined && isTableEmpty) return `delete table ${at}\n`;
  if (lines.length === 0) return undefined;
  const comment = commentOf(`rules for ${table}`, features);
  return [`add table ${at}${comment === "" ? "" : ` { ${comment} }`}`, ...lines, ""].join("\n");
}

function chainLines(
  family: Family,
  place: Place,
  {
    plan,
    chain: standing,
    features,
  }: {
    readonly plan: { readonly rules: readonly TrafficRule[] };
    readonly chain: StandingChain | undefined;
    readonly features: NftablesFeatures;
  },
): readonly string[] {
  const { name, table } = NFT_FAMILIES[family];
  const { chain, type, hook, priority, comment } = place;
  const at = `${name} ${table} ${chain}`;
  const wantsChain = plan.rules.length > 0;
  // The kernel moves no chain to another hook.
  const mustGo = standing !== undefined && (!wantsChain || !standing.isInPlace);
  const remove = mustGo ? [`flush chain ${at}`, `delete chain ${at}`] : [];
  if (!wantsChain) return remove;
  const said = commentOf(comment, features);
  return [
    ...remove,
    `add chain ${at} { type ${type} hook ${hook} priority ${priority} ;${said === "" ? "" : ` ${said}`} }`,
    `flush chain ${at}`,
    ...plan.rules.map((rule) => `add rule ${at} ${formatRule(rule, name)}`),
  ];
}

function commentOf(text: string, { comments }: NftablesFeatures): string {
  return comments ? `comment "${text}" ;` : "";
}

/** What finds out whether nft and the kernel know one thing more than a plain table and a masquerade; for `nft --check -f -`. */
export function probeNftables(family: Family, feature: keyof NftablesFeatures | "none"): string {
  const { name } = NFT_FAMILIES[family];
  // A table of its own: nothing is made, and nothing that stands can be in the way.
  const table = `${name} flannel-probe`;
  const comment = feature === "comments" ? ' comment "probe" ;' : "";
  const random = feature === "fullyRandom" ? " fully-random" : "";
  return [
    `add table ${table}${comment === "" ? "" : ` {${comment} }`}`,
    `add chain ${table} probe { type nat hook postrouting priority 100 ;${comment} }`,
    `add rule ${table} probe masquerade${random}`,
    "",
  ].join("\n");
}

/** As `nft list` shows it but for padded marks. */
function formatRule(rule: TrafficRule, protocol: string): string {
  const { mark, source, destination, verdict, fullyRandom } = rule;
  const words = [
    ...(mark === undefined ? [] : [formatMark(mark)]),
    ...formatMatch(`${protocol} saddr`, source),
    ...formatMatch(`${protocol} daddr`, destination),
    verdict,
    ...(fullyRandom ? ["fully-random"] : []),
  ];
  return words.join(" ");
}

function formatMark({ value, mask }: NonNullable<TrafficRule["mark"]>): string {
  const hex = (number: number): string => `0x${number.toString(16)}`;
  return `meta mark and ${hex(mask)} == ${hex(value)}`;
}

function formatMatch(field: string, match: PrefixMatch | undefined): readonly string[] {
  if (match === undefined) return [];
  return [field, ...(match.negated ? ["!="] : []), match.prefix];
}

function parseObjects(text: string): readonly unknown[] | undefined {
  try {
    const objects = memberOf(JSON.parse(text), "nftables");
    return Array.isArray(objects) ? objects : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

function purposeOf(name: unknown): Purpose | undefined {
  return PURPOSES.find((purpose) => PLACES[purpose].chain === name);
}

function isInPlace(chain: unknown, { type, hook, priority }: Place): boolean {
  return (
    memberOf(chain, "type") === type &&
    memberOf(chain, "hook") === hook &&
    memberOf(chain, "prio") === priority &&
    memberOf(chain, "policy") === "accept"
  );
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Undefined for anything that flannel does not write. */
function parseRule(rule: unknown, family: Family): TrafficRule | undefined {
  const expressions = memberOf(rule, "expr");
  if (!Array.isArray(expressions)) return undefined;
  const found: Partial<Mutable<TrafficRule>> = {};
  for (const expression of expressions as readonly unknown[]) {
    if (found.verdict !== undefined) return undefined;
    const match = memberOf(expression, "match");
    const isRead =
      match === undefined ? readVerdict(expression, found) : readMatch(match, family, found);
    if (!isRead) return undefined;
  }
  const { verdict } = found;
  if (verdict === undefined) return undefined;
  return { ...found, verdict, fullyRandom: found.fullyRandom ?? false };
}

function readVerdict(expression: unknown, found: Partial<Mutable<TrafficRule>>): boolean {
  if (typeof expression !== "object" || expression === null) return false;
  const [[verdict, value] = [], ...more] = Object.entries(expression) as [string, unknown][];
  if (more.length > 0) return false;
  if (verdict === "return" || verdict === "accept") found.verdict = verdict;
  else if (verdict === "masquerade") {
    const flags = [memberOf(value, "flags") ?? []].flat();
    if (flags.some((flag) => flag !== "fully-random") || hasMore(value, "flags")) return false;
    found.verdict = verdict;
    found.fullyRandom = flags.length > 0;
  } else return false;
  return true;
}

function hasMore(value: unknown, ...known: readonly string[]): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.keys(value).some((name) => !known.includes(name))
  );
}

function readMatch(match: unknown, family: Family, found: Partial<Mutable<TrafficRule>>): boolean {
  const [operator, left, right] = ["op", "left", "right"].map((name) => memberOf(match, name));
  const payload = memberOf(left, "payload");
  if (payload === undefined) {
    const mark = operator === "==" ? readMark(left, right) : undefined;
    if (mark === undefined || found.mark !== undefined) return false;
    found.mark = mark;
    return true;
  }
  if (memberOf(payload, "protocol") !== NFT_FAMILIES[family].name) return false;
  const field = memberOf(payload, "field");
  const side = field === "saddr" ? "source" : field === "daddr" ? "destination" : undefined;
  const prefix = readPrefix(right);
  if (side === undefined || prefix === undefined || found[side] !== undefined) return false;
  if (operator !== "==" && operator !== "!=") return false;
  found[side] = { prefix, negated: operator === "!=" };
  return true;
}

function readMark(left: unknown, value: unknown): TrafficRule["mark"] {
  const masked = memberOf(left, "&");
  const [meta, mask] = Array.isArray(masked) ? (masked as readonly unknown[]) : [left, 0xffff_ffff];
  const isMark = memberOf(memberOf(meta, "meta"), "key") === "mark";
  if (!isMark || typeof value !== "number" || typeof mask !== "number") return undefined;
  return { value, mask };
}

/** Single addresses, which are printed without a length, are in no rule of flannel's. */
function readPrefix(value: unknown): Cidr | undefined {
  const prefix = memberOf(value, "prefix");
  const [address, length] = [memberOf(prefix, "addr"), memberOf(prefix, "len")];
  if (typeof address !== "string" || typeof length !== "number") return undefined;
  const parsed = tryParseCidr(`${address}/${length}`);
  return parsed === undefined ? undefined : maskCidr(parsed);
}
