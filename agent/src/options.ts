/** The options of a run: flags, then variables of flags that were not given, then defaults. Source: spec 01 section 1. */
import { assert } from "./core/assert.ts";
import { AgentError } from "./core/errors.ts";
import { checkInterfaceWishes } from "./core/external-interface.ts";
import type { InterfaceWishes } from "./core/external-interface.ts";
import { escapeText, quoteText } from "./core/option-text.ts";
import { FLAGS } from "./flag-table.ts";
import type { FlagRow } from "./flag-table.ts";
import { findProblem, parseGoBoolean, parseGoFlags, parseGoInteger } from "./go-flags.ts";

/** Every option with its value. */
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
  readonly interfaceWishes: InterfaceWishes;
  readonly subnetFile: string;
  readonly renewMarginMinutes: number;
  /** Whether pods' packets to the outside are masqueraded, and whether without drawn source ports. */
  readonly ipMasq: boolean;
  readonly fullyRandomDisabled: boolean;
  readonly forwardRules: boolean;
  /** Whether packets to nobody in the own subnet are dropped. */
  readonly blackholeRoute: boolean;
  readonly rulesResyncSeconds: number;
  readonly healthIp: string;
  /** 0 for no server. */
  readonly healthPort: number;
  /** Whether /readyz never goes back. */
  readonly readyzOnce: boolean;
  /** Path; empty for none. */
  readonly statusSocket: string;
  /** Directory of the state file; empty for none. */
  readonly stateDirectory: string;
  readonly verbosity: number;
  readonly logFormat: "json" | "text" | "auto";
  /** What a user should know although it is no error: ignored words, unreadable variables. */
  readonly warnings: readonly string[];
  /** What was given, by flag, for the log: without secrets. */
  readonly given: Readonly<Record<string, string>>;
}

export type Request =
  | { readonly kind: "run"; readonly options: Options }
  | { readonly kind: "help" }
  | { readonly kind: "version" };

type Environment = Readonly<Record<string, string | undefined>>;

/** The values of a flag, and where they stood. */
interface Given {
  readonly texts: readonly string[];
  /** `flag -v`, or `variable FLANNELD_V`. */
  readonly place: string;
}

type AllGiven = ReadonlyMap<string, Given>;

/**
 * Reads the command line and the `FLANNELD_` variables of flags that are not on it.
 * @throws AgentError "flags-unreadable" as Go's parser does, "options-invalid" for what it would take
 */
export function parseOptions(words: readonly string[], environment: Environment): Request {
  const line = parseGoFlags(words, FLAGS);
  if (line.help) return { kind: "help" };
  if (parseGoBoolean(line.values.get("version")?.at(-1) ?? "")) return { kind: "version" };
  const warnings: string[] = [];
  if (line.ignored.length > 0)
    warnings.push(
      `ignored after the first word that is no flag: ${withoutSecrets(line.ignored).map(escapeText).join(" ")}`,
    );
  const given = new Map<string, Given>();
  for (const [name, texts] of line.values) given.set(name, { texts, place: `flag -${name}` });
  for (const [name, found] of readVariables(environment, line.values, warnings))
    given.set(name, found);
  for (const row of FLAGS) checkRow(row, given.get(row.name));
  const options = readOptions(given);
  for (const name of ["vmodule", "log_backtrace_at"])
    if ((given.get(name)?.texts.at(-1) ?? "") !== "")
      warnings.push(
        `${name} names source files of flannel: it changes nothing, -v=1 shows every call`,
      );
  checkInterfaceWishes(options.interfaceWishes);
  if ((options.etcdUsername === "") !== (options.etcdPassword === ""))
    warnings.push(
      "etcd-username and etcd-password only count together: connecting without authentication",
    );
  return { kind: "run", options: { ...options, warnings, given: showGiven(given) } };
}

/** As the reference: an unreadable variable leaves the default in place (spec 01 section 1.3). */
function readVariables(
  environment: Environment,
  onLine: ReadonlyMap<string, unknown>,
  warnings: string[],
): AllGiven {
  const found = new Map<string, Given>();
  const known = new Set<string>();
  for (const row of FLAGS) {
    const variable = variableName(row.name);
    known.add(variable);
    const text = environment[variable];
    if (row.onlyFlag === true || onLine.has(row.name) || text === undefined || text === "")
      continue;
    if (findProblem(row.type, text) === undefined)
      found.set(row.name, { texts: [text], place: `variable ${variable}` });
    else
      warnings.push(
        `Failed to set flag FLANNELD from env: ${variable} is no ${row.type}, using the default ${row.fallback}`,
      );
  }
  for (const variable of Object.keys(environment))
    if (variable.startsWith("FLANNELD_") && !known.has(variable))
      warnings.push(`${escapeText(variable)} is the variable of no flag: not used`);
  return found;
}

/** Of words that were not read as flags, what may be a password is left out, however it was written. */
function withoutSecrets(words: readonly string[]): readonly string[] {
  return words.map((word, index) =>
    /password$/i.test(words[index - 1] ?? "")
      ? "(redacted)"
      : word.replace(/(password[^=]*=).*$/is, "$1(redacted)").replace(/\/\/.*@/s, "//(redacted)@"),
  );
}

/** @throws AgentError "options-invalid" */
function checkRow(row: FlagRow, given: Given | undefined): void {
  if (given === undefined) return;
  const { place } = given;
  const text = given.texts.at(-1) ?? "";
  const isDefault =
    row.type === "boolean"
      ? parseGoBoolean(text) === parseGoBoolean(row.fallback)
      : text === row.fallback;
  if (row.missing !== undefined && !isDefault) throw invalid(`${place}: ${row.missing}`);
  if (row.range !== undefined) {
    const [least, most] = row.range;
    const value = parseGoInteger(text) ?? Number.NaN;
    if (!(value >= least && value <= most)) {
      const limits = least === Number.MIN_SAFE_INTEGER ? `at most ${most}` : `${least} to ${most}`;
      throw invalid(
        `invalid value ${quoteText(text)} for ${place}: out of acceptable range, give ${limits}`,
      );
    }
  }
  if (row.choices?.includes(text) === false)
    throw invalid(
      `invalid value ${quoteText(text)} for ${place}: one of ${row.choices.join(", ")}`,
    );
  if (row.pattern?.expression.test(text) === false)
    throw invalid(
      `invalid value ${quoteText(text)} for ${place}: expected ${row.pattern.expected}`,
    );
}

function readOptions(given: AllGiven): Omit<Options, "warnings" | "given"> {
  const list = (name: string): readonly string[] => given.get(name)?.texts ?? [];
  const text = (name: string): string => {
    const byDefault = fallback(name);
    return list(name).at(-1) ?? byDefault;
  };
  const integer = (name: string): number => parseGoInteger(text(name)) ?? 0;
  const boolean = (name: string): boolean => parseGoBoolean(text(name));
  const [logFormat = "auto"] = (["json", "text"] as const).filter(
    (one) => one === text("log-format"),
  );
  if ((text("etcd-keyfile") === "") !== (text("etcd-certfile") === ""))
    throw invalid("flags -etcd-keyfile and -etcd-certfile belong together: give both or none");
  return {
    etcdEndpoints: readEndpoints(text("etcd-endpoints"), placeOf("etcd-endpoints", given)),
    etcdPrefix: text("etcd-prefix"),
    etcdKeyFile: text("etcd-keyfile"),
    etcdCertificateFile: text("etcd-certfile"),
    etcdAuthoritiesFile: text("etcd-cafile"),
    etcdUsername: text("etcd-username"),
    etcdPassword: text("etcd-password"),
    interfaceWishes: {
      names: list("iface"),
      patterns: list("iface-regex"),
      canReach: text("iface-can-reach"),
      publicIp: text("public-ip"),
      publicIpv6: text("public-ipv6"),
    },
    subnetFile: readSubnetFile(text("subnet-file"), placeOf("subnet-file", given)),
    renewMarginMinutes: integer("subnet-lease-renew-margin"),
    ipMasq: boolean("ip-masq"),
    fullyRandomDisabled: boolean("ip-masq-fully-random-disable"),
    forwardRules: boolean("iptables-forward-rules"),
    blackholeRoute: boolean("ip-blackhole-route"),
    rulesResyncSeconds: integer("iptables-resync"),
    healthIp: text("healthz-ip"),
    healthPort: Math.max(0, integer("healthz-port")),
    readyzOnce: boolean("readyz-once"),
    statusSocket: statusSocketPath(text("status-socket"), text("subnet-file")),
    stateDirectory: stateDirectoryPath(text("state-dir")),
    verbosity: integer("v"),
    logFormat,
  };
}

/** Beside the subnet file, so that two agents of one node do not meet. @returns empty for none */
export function statusSocketPath(given: string, subnetFile: string): string {
  if (given === "none") return "";
  return given === "" ? subnetFile.replace(/[^/]*$/, "flanneld.sock") : given;
}

/** @returns empty for none */
export function stateDirectoryPath(given: string): string {
  if (given === "none") return "";
  return given === "" ? fallback("state-dir") : given;
}

function placeOf(name: string, given: AllGiven): string {
  return given.get(name)?.place ?? `flag -${name}`;
}

function readEndpoints(text: string, place: string): readonly string[] {
  // Not shown: a password with a comma in it would be cut in two, and one half no longer look like one.
  if (text.includes("@"))
    throw invalid(
      `${place} holds a user name or password (there is an "@" in it): give those with -etcd-username and FLANNELD_ETCD_PASSWORD`,
    );
  const endpoints = text.split(",");
  for (const endpoint of endpoints) {
    const [, port] =
      /^(?:https?:\/\/)?(?:\[[0-9a-fA-F:.]+\]|[^\s/:]+):(\d{1,5})\/?$/.exec(endpoint) ?? [];
    const isPort = port !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
    if (!isPort && !/^unixs?:\/\/\S+$/.test(endpoint))
      throw invalid(
        `invalid value ${quoteText(endpoint)} for ${place}: expected http://host:port or https://host:port, comma-separated`,
      );
  }
  return endpoints;
}

function readSubnetFile(path: string, place: string): string {
  if (path !== "" && !path.endsWith("/") && !path.includes("\0")) return path;
  throw invalid(
    `invalid value ${quoteText(path)} for ${place}: expected the path of a file, such as ${fallback("subnet-file")}`,
  );
}

function showGiven(given: AllGiven): Readonly<Record<string, string>> {
  const shown: Record<string, string> = {};
  for (const row of FLAGS) {
    const texts = given.get(row.name)?.texts;
    if (texts !== undefined)
      shown[row.name] =
        row.secret === true
          ? "(redacted)"
          : row.type === "list"
            ? texts.join(" ")
            : (texts.at(-1) ?? "");
  }
  return shown;
}

function fallback(name: string): string {
  const row = FLAGS.find((one) => one.name === name);
  assert(row !== undefined, `-${name} is in the table`);
  return row.fallback;
}

function invalid(message: string): AgentError {
  return new AgentError("options-invalid", message);
}

/** `FLANNELD_` and the flag's name in upper case, dashes as underscores. */
export function variableName(flag: string): string {
  return `FLANNELD_${flag.toUpperCase().replaceAll("-", "_")}`;
}
