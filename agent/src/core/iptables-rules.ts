/** Traffic rules in iptables' words: what `iptables-save` prints → one `iptables-restore --noflush` text, or none when all is right. */
import { maskCidr, tryParseCidr } from "./ip.ts";
import type { Cidr } from "./ip.ts";
import { PURPOSES, isAbout, planChain, planTrafficRules } from "./traffic-rules.ts";
import type { PrefixMatch, Purpose, TrafficRule, TrafficWish } from "./traffic-rules.ts";

/** Where the rules of one purpose stand. Source: spec 06 section 1. */
interface Place {
  readonly table: string;
  /** The kernel's own chain, from which packets come. */
  readonly baseChain: string;
  readonly chain: string;
  /** On every rule, word for word: other programs find flannel's rules by it. */
  readonly comment: string;
}

const PLACES: Readonly<Record<Purpose, Place>> = {
  masquerade: {
    table: "nat",
    baseChain: "POSTROUTING",
    chain: "FLANNEL-POSTRTG",
    comment: "flanneld masq",
  },
  forward: {
    table: "filter",
    baseChain: "FORWARD",
    chain: "FLANNEL-FWD",
    comment: "flanneld forward",
  },
};

const TARGETS = { return: "RETURN", accept: "ACCEPT", masquerade: "MASQUERADE" } as const;
const VERDICTS: ReadonlyMap<string, TrafficRule["verdict"]> = new Map([
  ["RETURN", "return"],
  ["ACCEPT", "accept"],
  ["MASQUERADE", "masquerade"],
]);

/** What `iptables-save` says that concerns flannel. Lines are as printed, for they must be repeated word for word. */
export interface IptablesState {
  readonly places: Readonly<Record<Purpose, StandingPlace>>;
  /** Names of tables that the nf_tables variant cannot read, since somebody put rules into them that iptables has no words for. */
  readonly unreadableTables: readonly string[];
}

interface StandingPlace {
  /** The arguments of each rule in flannel's chain; undefined when there is no chain. */
  readonly chain: readonly string[] | undefined;
  /** The arguments of flannel's own rules in the base chain. */
  readonly inBase: readonly string[];
  /** How many rules elsewhere lead to flannel's chain, which none of ours do. */
  readonly otherJumps: number;
  /** `DROP` or `ACCEPT`; undefined when there is no such table. */
  readonly basePolicy: string | undefined;
}

/** Reads the output of `iptables-save` or `ip6tables-save`, of either variant. */
export function readIptablesSave(text: string): IptablesState {
  const places = {
    masquerade: new PlaceReader(PLACES.masquerade),
    forward: new PlaceReader(PLACES.forward),
  };
  const unreadableTables: string[] = [];
  let current: readonly PlaceReader[] = [];
  for (const line of text.split("\n")) {
    const [, incompatible] = /^# Table `(\w+)' is incompatible/.exec(line) ?? [];
    if (incompatible !== undefined) unreadableTables.push(incompatible);
    else if (line.startsWith("*"))
      current = PURPOSES.map((purpose) => places[purpose]).filter(
        ({ place }) => place.table === line.slice(1).trim(),
      );
    else for (const reader of current) reader.read(line);
  }
  return { places, unreadableTables };
}

class PlaceReader implements StandingPlace {
  readonly place: Place;
  chain: string[] | undefined;
  readonly inBase: string[] = [];
  otherJumps = 0;
  basePolicy: string | undefined;

  constructor(place: Place) {
    this.place = place;
  }

  read(line: string): void {
    const { chain, baseChain, comment } = this.place;
    if (line.startsWith(`:${chain} `)) this.chain ??= [];
    else if (line.startsWith(`:${baseChain} `)) this.basePolicy = line.split(" ")[1];
    else if (line.startsWith(`-A ${chain} `))
      (this.chain ??= []).push(line.slice(`-A ${chain} `.length));
    else if (line.startsWith("-A ")) {
      const jumps = line.endsWith(` -j ${chain}`) || line.endsWith(` -g ${chain}`);
      const [, name = "", rule = ""] = /^-A (\S+) (.*)$/.exec(line) ?? [];
      if (name === baseChain && line.includes(`--comment "${comment}"`)) this.inBase.push(rule);
      else if (jumps) this.otherJumps++;
    }
  }
}

/** How a wish differs in a node where nftables carries the rules. */
export interface IptablesRole {
  /** Set when nftables does the work: then iptables holds nothing of ours, but accepts where its own policy drops. */
  readonly besidesNftables: boolean;
}

/**
 * The input of `iptables-restore --noflush` that makes flannel's rules as wished, a transaction per table; undefined when they are.
 * Nothing but flannel's chains and the rules with flannel's comment in the base chains is named in it.
 */
export function planIptables(
  { places }: IptablesState,
  wish: TrafficWish,
  { besidesNftables }: IptablesRole,
): string | undefined {
  const wanted = planTrafficRules({
    ...wish,
    masquerade: wish.masquerade && !besidesNftables,
    // An accept in a table of nftables does not outdo a drop in another one (spec 10 N6).
    forward: wish.forward && (!besidesNftables || places.forward.basePolicy === "DROP"),
  });
  const texts = PURPOSES.map((purpose) =>
    planPlace(purpose, places[purpose], wanted[purpose], wish.ownNetworks),
  );
  const text = texts.join("");
  return text === "" ? undefined : text;
}

function planPlace(
  purpose: Purpose,
  standing: StandingPlace,
  wanted: readonly TrafficRule[],
  ownNetworks: readonly Cidr[],
): string {
  const place = PLACES[purpose];
  const { table, baseChain, chain, comment } = place;
  const parsed = standing.chain?.map((rule) => parseRule(rule, comment));
  const plan = planChain(parsed, wanted, { purpose, ownNetworks });
  const jump = jumpOf(place);
  const wantsChain = plan.rules.length > 0;
  const jumps = standing.inBase.filter((rule) => rule === jump).length;
  const surplus = [
    ...Array.from({ length: jumps - (wantsChain ? Math.min(jumps, 1) : 0) }, () => jump),
    ...standing.inBase.filter((rule) => isLeftInBase(rule, place, ownNetworks)),
  ];
  // A chain that others lead to cannot be removed; an empty one does no harm.
  const isEmptied = !wantsChain && standing.otherJumps > 0 && standing.chain?.length === 0;
  const lacksJump = wantsChain && jumps === 0;
  const chainIsRight = plan.isRight || isEmptied;
  if (chainIsRight && surplus.length === 0 && !lacksJump) return "";
  const lines = [
    `*${table}`,
    // Makes the chain or empties it, within the transaction.
    ...(chainIsRight ? [] : [`:${chain} - [0:0]`]),
    ...surplus.map((rule) => `-D ${baseChain} ${rule}`),
    ...(chainIsRight ? [] : plan.rules.map((rule) => `-A ${chain} ${formatRule(rule, comment)}`)),
    ...(lacksJump ? [`-A ${baseChain} ${jump}`] : []),
    ...(!chainIsRight && !wantsChain && standing.otherJumps === 0 ? [`-X ${chain}`] : []),
    "COMMIT",
  ];
  return `${lines.join("\n")}\n`;
}

function jumpOf({ chain, comment }: Place): string {
  return `-m comment --comment "${comment}" -j ${chain}`;
}

/** Before it had chains of its own the reference put its rules into the base chains. */
function isLeftInBase(rule: string, place: Place, ownNetworks: readonly Cidr[]): boolean {
  const parsed = parseRule(rule, place.comment);
  return parsed !== undefined && isAbout(parsed, ownNetworks);
}

/** As `iptables -S` shows it, without `-A CHAIN`. */
function formatRule(rule: TrafficRule, comment: string): string {
  const { mark, source, destination, verdict, fullyRandom } = rule;
  const words = [
    ...formatMatch("-s", source),
    ...formatMatch("-d", destination),
    ...(mark === undefined
      ? []
      : ["-m", "mark", "--mark", `0x${mark.value.toString(16)}/0x${mark.mask.toString(16)}`]),
    "-m",
    "comment",
    "--comment",
    `"${comment}"`,
    "-j",
    TARGETS[verdict],
    ...(fullyRandom ? ["--random-fully"] : []),
  ];
  return words.join(" ");
}

function formatMatch(option: string, match: PrefixMatch | undefined): readonly string[] {
  if (match === undefined) return [];
  return [...(match.negated ? ["!"] : []), option, match.prefix];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Undefined for anything that flannel does not write: other options, another comment, none. */
function parseRule(text: string, comment: string): TrafficRule | undefined {
  const words = text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  const found: Partial<Mutable<TrafficRule>> = {};
  let isCommented = false;
  let negated = false;
  for (let index = 0; index < words.length; index++) {
    const option = words[index];
    if (option === "!") {
      negated = true;
      continue;
    }
    if (option === "--random-fully") {
      found.fullyRandom = true;
      continue;
    }
    const value = words[++index] ?? "";
    if (negated && option !== "-s" && option !== "-d") return undefined;
    if (option === "-s" || option === "-d") {
      const prefix = tryParseCidr(value.includes("/") ? value : "");
      if (prefix === undefined) return undefined;
      found[option === "-s" ? "source" : "destination"] = { prefix: maskCidr(prefix), negated };
      negated = false;
    } else if (option === "-m") {
      if (value !== "mark" && value !== "comment") return undefined;
    } else if (option === "--mark") {
      const mark = parseMark(value);
      if (mark === undefined) return undefined;
      found.mark = mark;
    } else if (option === "--comment") isCommented = value === `"${comment}"`;
    else if (option === "-j") {
      const verdict = VERDICTS.get(value);
      if (verdict === undefined) return undefined;
      found.verdict = verdict;
    } else return undefined;
  }
  const { verdict } = found;
  if (verdict === undefined || !isCommented) return undefined;
  return { ...found, verdict, fullyRandom: found.fullyRandom ?? false };
}

function parseMark(text: string): TrafficRule["mark"] {
  const [, value, mask = "0xffffffff"] =
    /^(0x[0-9a-f]{1,8})(?:\/(0x[0-9a-f]{1,8}))?$/.exec(text) ?? [];
  return value === undefined ? undefined : { value: Number(value), mask: Number(mask) };
}
