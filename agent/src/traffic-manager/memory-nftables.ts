/** Tables as nft knows them, as far as masquerading and accepting need it: `nft -f -` text in, `nft -j list table` text out. */

interface Chain {
  readonly type: string;
  readonly hook: string;
  readonly prio: number;
  /** The expressions of each rule, as nft's JSON has them. */
  readonly rules: readonly (readonly unknown[])[];
}

/** By name; a table by family and name. */
type Tables = ReadonlyMap<string, ReadonlyMap<string, Chain>>;

type MissingFeature = "comments" | "fullyRandom";

/** What this nft and its kernel refuse, by family. */
export type MissingFeatures = Readonly<Partial<Record<"ip" | "ip6", readonly MissingFeature[]>>>;

export class MemoryNftables {
  #tables: Tables = new Map();
  readonly #missing: MissingFeatures;

  constructor(missing: MissingFeatures = {}) {
    this.#missing = missing;
  }

  /** One transaction. @returns what nft says on its standard error; undefined when all was done */
  run(text: string, { isCheck = false }: { readonly isCheck?: boolean } = {}): string | undefined {
    const tables = new Map([...this.#tables].map(([name, chains]) => [name, new Map(chains)]));
    for (const line of text.split("\n").filter((one) => one !== "")) {
      const missing = this.#missing[line.includes(" ip6 ") ? "ip6" : "ip"] ?? [];
      const refused =
        (missing.includes("comments") && line.includes("comment")) ||
        (missing.includes("fullyRandom") && line.includes("fully-random")) ||
        !write(tables, line);
      if (refused) return `Error: syntax error\n${line}`;
    }
    if (!isCheck) this.#tables = tables;
    return undefined;
  }

  /** What `nft -j list table FAMILY NAME` prints; undefined when there is none. */
  list(family: string, table: string): string | undefined {
    const chains = this.#tables.get(`${family} ${table}`);
    if (chains === undefined) return undefined;
    const objects = [
      { metainfo: { json_schema_version: 1 } },
      { table: { family, name: table } },
      ...[...chains].map(([name, { type, hook, prio }]) => ({
        chain: { family, table, name, type, hook, prio, policy: "accept" },
      })),
      ...[...chains].flatMap(([chain, { rules }]) =>
        rules.map((expr) => ({ rule: { family, table, chain, expr } })),
      ),
    ];
    return JSON.stringify({ nftables: objects });
  }

  get tables(): readonly string[] {
    return [...this.#tables.keys()];
  }
}

/** @returns whether the command could be done */
function write(tables: Map<string, Map<string, Chain>>, line: string): boolean {
  const words = /^(add|flush|delete) (table|chain|rule) (ip6?) (\S+)(?: ([\w-]+))?(?: (.*))?$/.exec(
    line.replace(/ \{ ?comment "[^"]*" ; ?\}$/, "").replace(/ comment "[^"]*" ;/, ""),
  );
  if (words === null) return false;
  const [, action, object, family = "", table = "", name = "", rest = ""] = words;
  const at = `${family} ${table}`;
  if (object === "table") {
    if (action === "delete") return tables.delete(at);
    if (!tables.has(at)) tables.set(at, new Map());
    return action === "add";
  }
  const chains = tables.get(at);
  const chain = chains?.get(name);
  if (chains === undefined) return false;
  if (object === "chain" && action === "add") return addChain(chains, name, rest);
  if (chain === undefined) return false;
  if (object === "rule") {
    const rule = parseRule(rest, family);
    if (rule !== undefined) chains.set(name, { ...chain, rules: [...chain.rules, rule] });
    return rule !== undefined && action === "add";
  }
  if (action === "delete") return chain.rules.length === 0 && chains.delete(name);
  chains.set(name, { ...chain, rules: [] });
  return action === "flush";
}

function addChain(chains: Map<string, Chain>, name: string, text: string): boolean {
  const place = /^\{ type (\w+) hook (\w+) priority (-?\d+) ; ?\}$/.exec(text);
  if (place === null) return false;
  const [, type = "", hook = "", priority] = place;
  const before = chains.get(name);
  const prio = Number(priority);
  // As the kernel: a chain that stands cannot be hung elsewhere.
  if (before !== undefined)
    return before.type === type && before.hook === hook && before.prio === prio;
  chains.set(name, { type, hook, prio, rules: [] });
  return true;
}

function parseRule(text: string, family: string): readonly unknown[] | undefined {
  const rule: unknown[] = [];
  const mark = /^meta mark(?: and (\S+) ==)? (\S+) ?/.exec(text);
  let rest = text;
  if (mark !== null) {
    const meta = { meta: { key: "mark" } };
    const left = mark[1] === undefined ? meta : { "&": [meta, Number(mark[1])] };
    rule.push({ match: { op: "==", left, right: Number(mark[2]) } });
    rest = text.slice(mark[0].length);
  }
  const words = rest.split(" ").filter((word) => word !== "");
  while (words[0] === family) {
    const [, field = ""] = words.splice(0, 2);
    const op = words[0] === "!=" ? (words.shift() ?? "") : "==";
    const [addr = "", length = ""] = (words.shift() ?? "").split("/");
    const left = { payload: { protocol: family, field } };
    const isSingle = length === (family === "ip" ? "32" : "128");
    const right = isSingle ? addr : { prefix: { addr, len: Number(length) } };
    rule.push({ match: { op, left, right } });
  }
  const verdict = words.join(" ");
  if (verdict === "masquerade fully-random") rule.push({ masquerade: { flags: "fully-random" } });
  else if (["masquerade", "return", "accept", "drop"].includes(verdict))
    rule.push({ [verdict]: null });
  else return undefined;
  return rule;
}
