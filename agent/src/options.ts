/**
 * The table of flags: parsing, `--help`, the environment variables and docs/flags.md all come from it.
 * Syntax, names and defaults are the reference's (spec 01 section 1); ours are marked.
 */
import { AgentError } from "./core/errors.ts";
import { isGoBoolean, parseGoBoolean, parseGoFlags, parseGoInteger } from "./go-flags.ts";

interface FlagRow {
  readonly name: string;
  readonly type: "string" | "boolean" | "integer" | "list";
  /** As text, the way it would be given; a list starts empty. */
  readonly fallback: string;
  readonly help: string;
  /** Not among the reference's flags. */
  readonly ours?: true;
}

const TABLE = [
  {
    name: "etcd-endpoints",
    type: "string",
    fallback: "http://127.0.0.1:4001,http://127.0.0.1:2379",
    help: "comma-separated list of etcd endpoints",
  },
  { name: "etcd-prefix", type: "string", fallback: "/coreos.com/network", help: "etcd key prefix" },
  {
    name: "etcd-keyfile",
    type: "string",
    fallback: "",
    help: "PEM file with the key of this node for etcd; read again when it changes",
  },
  {
    name: "etcd-certfile",
    type: "string",
    fallback: "",
    help: "PEM file with the certificate of this node for etcd; read again when it changes",
  },
  {
    name: "etcd-cafile",
    type: "string",
    fallback: "",
    help: "PEM file with the authorities that etcd's certificate is checked against; alone or with the two above",
  },
  { name: "etcd-username", type: "string", fallback: "", help: "user for etcd" },
  {
    name: "etcd-password",
    type: "string",
    fallback: "",
    help: "password of that user; better given as FLANNELD_ETCD_PASSWORD, which no process list shows",
  },
  {
    name: "iface",
    type: "list",
    fallback: "",
    help: "interface name or local IP address that peers reach this node through; may be repeated, the first that fits wins",
  },
  {
    name: "iface-regex",
    type: "list",
    fallback: "",
    help: "regular expression for the interface, tried on addresses first and then on names; may be repeated",
  },
  {
    name: "iface-can-reach",
    type: "string",
    fallback: "",
    help: "IP address: use the interface that the kernel routes to it through",
  },
  { name: "public-ip", type: "string", fallback: "", help: "IPv4 address that peers send to" },
  { name: "public-ipv6", type: "string", fallback: "", help: "IPv6 address that peers send to" },
  {
    name: "subnet-file",
    type: "string",
    fallback: "/run/flannel/subnet.env",
    help: "file where the leased subnet and the MTU are written for others to read",
  },
  {
    name: "subnet-lease-renew-margin",
    type: "integer",
    fallback: "60",
    help: "minutes before the end of the lease at which it is renewed, 1 to 1439",
  },
  {
    name: "ip-masq",
    type: "boolean",
    fallback: "false",
    help: "masquerade what pods send to the outside",
  },
  {
    name: "ip-masq-fully-random-disable",
    type: "boolean",
    fallback: "false",
    help: "do not draw the source ports of masqueraded connections at random",
  },
  { name: "healthz-ip", type: "string", fallback: "0.0.0.0", help: "address of the health server" },
  {
    name: "healthz-port",
    type: "integer",
    fallback: "0",
    help: "port of the health server, 0 for none",
  },
  {
    name: "iptables-resync",
    type: "integer",
    fallback: "5",
    help: "seconds from one look at the rules of the firewall to the next, 1 to 86400; at least 10 are between them where the kernel tells of changes",
  },
  {
    name: "iptables-forward-rules",
    type: "boolean",
    fallback: "true",
    help: "let packets from and to pods through the firewall",
  },
  { name: "v", type: "integer", fallback: "0", help: "log verbosity: 1 and more show every call" },
  { name: "version", type: "boolean", fallback: "false", help: "print the version and exit" },
  {
    name: "log-format",
    type: "string",
    fallback: "auto",
    help: "json, text, or auto: text on a terminal and json elsewhere",
    ours: true,
  },
] as const satisfies readonly FlagRow[];

/** The options of a run, every one with its value. */
export interface Options {
  readonly etcdEndpoints: readonly string[];
  readonly etcdPrefix: string;
  /** Paths; empty for none. The key and the certificate come together. */
  readonly etcdKeyFile: string;
  readonly etcdCertificateFile: string;
  readonly etcdAuthoritiesFile: string;
  /** Both or none is used; never in a message. */
  readonly etcdUsername: string;
  readonly etcdPassword: string;
  readonly interfaceNames: readonly string[];
  readonly interfacePatterns: readonly string[];
  readonly interfaceCanReach: string;
  readonly publicIp: string;
  readonly publicIpv6: string;
  readonly subnetFile: string;
  readonly renewMarginMinutes: number;
  /** Whether pods' packets to the outside are masqueraded, and whether without drawn source ports. */
  readonly ipMasq: boolean;
  readonly fullyRandomDisabled: boolean;
  readonly forwardRules: boolean;
  readonly rulesResyncSeconds: number;
  readonly healthIp: string;
  /** 0 for no server. */
  readonly healthPort: number;
  readonly verbosity: number;
  readonly logFormat: "json" | "text" | "auto";
  /** What a user should know although it is no error: ignored words, unreadable variables. */
  readonly warnings: readonly string[];
}

export type Request =
  | { readonly kind: "run"; readonly options: Options }
  | { readonly kind: "help" }
  | { readonly kind: "version" };

type Name = (typeof TABLE)[number]["name"];

/**
 * Reads the command line and the `FLANNELD_` variables of flags that are not on it.
 * @throws AgentError "options-invalid"
 */
export function parseOptions(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Request {
  const given = parseGoFlags(words, TABLE);
  if (given.help) return { kind: "help" };
  const warnings: string[] = [];
  if (given.ignored.length > 0)
    warnings.push(
      `ignored after the first word that is no flag: ${withoutPassword(given.ignored.join(" "))}`,
    );
  const values = new Map(given.values);
  if (values.get("version")?.some(parseGoBoolean) === true) return { kind: "version" };
  for (const row of TABLE) {
    const text = environment[variableName(row.name)];
    if (values.has(row.name) || text === undefined || text === "") continue;
    // As the reference: an unreadable variable leaves the default in place (spec 01 section 1.3).
    if (row.type === "integer" && parseGoInteger(text) === undefined)
      warnings.push(`${variableName(row.name)} is not an integer, using ${row.fallback}`);
    else if (row.type === "boolean" && !isGoBoolean(text))
      warnings.push(`${variableName(row.name)} is not a boolean, using ${row.fallback}`);
    else values.set(row.name, [text]);
  }
  const options = readOptions(values);
  if ((options.etcdUsername === "") !== (options.etcdPassword === ""))
    warnings.push(
      "etcd-username and etcd-password only count together: connecting without authentication",
    );
  return { kind: "run", options: { ...options, warnings } };
}

function withoutPassword(words: string): string {
  return words
    .replaceAll(/(-etcd-password[= ])\S+/g, "$1(redacted)")
    .replaceAll(/\/\/[^@/\s]*@/g, "//");
}

function readOptions(values: ReadonlyMap<string, readonly string[]>): Omit<Options, "warnings"> {
  const list = (name: Name): readonly string[] => values.get(name) ?? [];
  const text = (name: Name): string => list(name).at(-1) ?? fallback(name);
  const integer = (name: Name): number => parseGoInteger(text(name)) ?? 0;
  const boolean = (name: Name): boolean => parseGoBoolean(text(name));
  if ((text("etcd-keyfile") === "") !== (text("etcd-certfile") === ""))
    throw new AgentError(
      "options-invalid",
      "flags -etcd-keyfile and -etcd-certfile belong together: give both or none",
    );
  return {
    etcdEndpoints: readEndpoints(text("etcd-endpoints")),
    etcdPrefix: text("etcd-prefix"),
    etcdKeyFile: text("etcd-keyfile"),
    etcdCertificateFile: text("etcd-certfile"),
    etcdAuthoritiesFile: text("etcd-cafile"),
    etcdUsername: text("etcd-username"),
    etcdPassword: text("etcd-password"),
    interfaceNames: list("iface"),
    interfacePatterns: list("iface-regex"),
    interfaceCanReach: text("iface-can-reach"),
    publicIp: text("public-ip"),
    publicIpv6: text("public-ipv6"),
    subnetFile: text("subnet-file"),
    renewMarginMinutes: inRange(
      "subnet-lease-renew-margin",
      integer("subnet-lease-renew-margin"),
      1,
      1439,
    ),
    ipMasq: boolean("ip-masq"),
    fullyRandomDisabled: boolean("ip-masq-fully-random-disable"),
    forwardRules: boolean("iptables-forward-rules"),
    rulesResyncSeconds: inRange("iptables-resync", integer("iptables-resync"), 1, 86_400),
    healthIp: text("healthz-ip"),
    healthPort: Math.max(0, inRange("healthz-port", integer("healthz-port"), -65_535, 65_535)),
    verbosity: integer("v"),
    logFormat: readLogFormat(text("log-format")),
  };
}

function readEndpoints(text: string): readonly string[] {
  const endpoints = text.split(",");
  for (const endpoint of endpoints)
    if (
      !/^(https?:\/\/)?(\[[0-9a-fA-F:.]+\]|[^\s/:@]+):\d{1,5}\/?$/.test(endpoint) &&
      !/^unixs?:\/\/\S+$/.test(endpoint)
    )
      throw new AgentError(
        "options-invalid",
        `invalid value ${JSON.stringify(withoutPassword(endpoint))} for flag -etcd-endpoints: expected http://host:port or https://host:port, comma-separated`,
      );
  return endpoints;
}

function readLogFormat(text: string): Options["logFormat"] {
  if (text === "json" || text === "text" || text === "auto") return text;
  throw new AgentError(
    "options-invalid",
    `invalid value ${JSON.stringify(text)} for flag -log-format: one of auto, json, text`,
  );
}

function inRange(name: Name, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value;
  throw new AgentError(
    "options-invalid",
    `invalid value ${value} for flag -${name}: out of acceptable range ${least} to ${most}`,
  );
}

function fallback(name: Name): string {
  return TABLE.find((row) => row.name === name)?.fallback ?? "";
}

/** `FLANNELD_` and the flag's name in upper case, dashes as underscores. */
export function variableName(flag: string): string {
  return `FLANNELD_${flag.toUpperCase().replaceAll("-", "_")}`;
}

/** The text of `--help`. */
export function formatUsage(program: string): string {
  const block = (row: FlagRow): string =>
    `  -${row.name}${row.type === "boolean" ? "" : ` ${row.type === "list" ? "value" : row.type}`}\n` +
    `        ${row.help}${row.fallback === "" ? "" : ` (default ${row.fallback})`}\n`;
  const rows: readonly FlagRow[] = TABLE;
  return [
    `Usage: ${program} [OPTION]...\n`,
    ...rows.filter((row) => row.ours === undefined).map(block),
    "\nNot in flannel:\n",
    ...rows.filter((row) => row.ours === true).map(block),
    "\nEach flag can be given as a variable: -etcd-prefix is FLANNELD_ETCD_PREFIX. The command line wins.\n",
  ].join("");
}

/** docs/flags.md, whole. */
export function formatFlagsPage(): string {
  const rows: readonly FlagRow[] = TABLE;
  const table = (ours: boolean): string =>
    rows
      .filter((row) => (row.ours === true) === ours)
      .map(
        (row) =>
          `| \`${row.name}\` | \`${variableName(row.name)}\` | ${row.type} | ${row.fallback === "" ? "–" : `\`${row.fallback}\``} | ${row.help} |\n`,
      )
      .join("");
  const head = "| flag | variable | type | default | meaning |\n| --- | --- | --- | --- | --- |\n";
  return (
    "# Flags of `flanneld`\n\nGenerated from `agent/src/options.ts` by `node levels.mjs unit -- -u`; a test fails when it is not fresh.\n\n" +
    "`-name value`, `-name=value` and `--name` are the same; a boolean takes its value only with `=`. A variable counts only\n" +
    "when its flag is not on the command line. A bad flag or value prints one line and the usage, exit code 2.\n\n" +
    `${head}${table(false)}\nNot in flannel:\n\n${head}${table(true)}`
  );
}
