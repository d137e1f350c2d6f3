/** What this machine can do, found out by doing it in a namespace that ends with the probe. */
import { spawnSync } from "node:child_process";

export const NEEDS = [
  "netns",
  "vxlan",
  "etcd",
  "lab",
  "wireguard",
  "ipip",
  "tun",
  "docker",
  "iptables",
  "nft",
  "promtool",
] as const;

/** Something of the machine that a test can need. */
export type Need = (typeof NEEDS)[number];

/** Whether this machine has what a need names and, when it has not, why and what to do about it. */
export interface Capability {
  readonly available: boolean;
  readonly reason?: string;
  readonly remedy?: string;
}

/** A probe takes milliseconds; one that hangs counts as failed. */
const PROBE_TIMEOUT_MS = 10_000;

const AVAILABLE: Capability = { available: true };

/** Runs a command to the end; the reason it failed, or undefined when it succeeded. */
function failureOf(command: string, ...argv: readonly string[]): string | undefined {
  const result = spawnSync(command, argv, {
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
    timeout: PROBE_TIMEOUT_MS,
  });
  const line = [command, ...argv].join(" ");
  if (result.error !== undefined) {
    const code = "code" in result.error ? String(result.error.code) : result.error.message;
    return code === "ENOENT" ? `${command} is not installed` : `${line}: ${code}`;
  }
  if (result.status === 0) return undefined;
  const said = result.stderr.trim().split("\n", 1)[0] ?? "";
  return `${line}: ${said === "" ? `exit code ${result.status ?? result.signal}` : said}`;
}

function commandWorks(remedy: string, command: string, ...argv: readonly string[]): Capability {
  const reason = failureOf(command, ...argv);
  return reason === undefined ? AVAILABLE : { available: false, reason, remedy };
}

/** Root makes a network namespace directly; anybody else needs a user namespace around it. */
function unshareArguments(): readonly string[] {
  return process.getuid?.() === 0 ? ["-n"] : ["-rn"];
}

/** Creates a link in a namespace that ends with the command. */
function linkCanBeCreated(kind: string, remedy: string, ...options: readonly string[]): Capability {
  const namespaces = capability("netns");
  if (!namespaces.available) return namespaces;
  const create = ["ip", "link", "add", "probe0", "type", kind, ...options];
  return commandWorks(remedy, "unshare", ...unshareArguments(), ...create);
}

function commandInNamespace(remedy: string, ...argv: readonly string[]): Capability {
  const namespaces = capability("netns");
  if (!namespaces.available) return namespaces;
  return commandWorks(remedy, "unshare", ...unshareArguments(), ...argv);
}

const LEGACY_TABLES =
  "modprobe iptable_nat ip6table_nat, or use a kernel with CONFIG_NETFILTER_XTABLES_LEGACY";

/** The first capability that is missing, or available when none is. */
function allOf(...capabilities: readonly (() => Capability)[]): Capability {
  for (const probe of capabilities) {
    const found = probe();
    if (!found.available) return found;
  }
  return AVAILABLE;
}

const PROBES: Record<Need, () => Capability> = {
  netns: () =>
    commandWorks(
      "run as root, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1)",
      "unshare",
      ...unshareArguments(),
      "true",
    ),
  vxlan: () =>
    linkCanBeCreated(
      "vxlan",
      "modprobe vxlan, or use a kernel with CONFIG_VXLAN",
      "id",
      "1",
      "dstport",
      "8472",
    ),
  etcd: () =>
    commandWorks("install etcd (Debian: apt-get install etcd-server)", "etcd", "--version"),
  lab: () =>
    allOf(
      () => capability("netns"),
      () => capability("etcd"),
      () => commandWorks("install iproute2 (Debian: apt-get install iproute2)", "ip", "-V"),
      () => commandWorks("install ping (Debian: apt-get install iputils-ping)", "ping", "-V"),
    ),
  wireguard: () =>
    linkCanBeCreated("wireguard", "modprobe wireguard, or use a kernel with CONFIG_WIREGUARD"),
  ipip: () =>
    linkCanBeCreated(
      "ipip",
      "modprobe ipip, or use a kernel with CONFIG_NET_IPIP",
      "local",
      "192.0.2.1",
    ),
  tun: () =>
    commandInNamespace(
      "modprobe tun, and make /dev/net/tun readable and writable",
      "ip",
      "tuntap",
      "add",
      "probe0",
      "mode",
      "tap",
    ),
  iptables: () =>
    allOf(
      () =>
        commandInNamespace(
          "install iptables (Debian: apt-get install iptables)",
          "iptables-nft",
          "-tnat",
          "-S",
        ),
      () =>
        commandInNamespace(
          "install iptables (Debian: apt-get install iptables)",
          "ip6tables-nft",
          "-tnat",
          "-S",
        ),
      () => commandInNamespace(LEGACY_TABLES, "iptables-legacy", "-tnat", "-S"),
      () => commandInNamespace(LEGACY_TABLES, "ip6tables-legacy", "-tnat", "-S"),
    ),
  nft: () =>
    commandInNamespace(
      "install nftables (Debian: apt-get install nftables)",
      "nft",
      "add",
      "table",
      "ip",
      "probe",
    ),
  docker: () =>
    process.getuid?.() === 0
      ? commandWorks(
          "install Docker's daemon (Debian: apt-get install --no-install-recommends docker.io)",
          "dockerd",
          "--version",
        )
      : { available: false, reason: "a daemon of Docker wants root", remedy: "run as root" },
  promtool: () =>
    commandWorks("install promtool (Debian: package prometheus)", "promtool", "--version"),
};

const found = new Map<Need, Capability>();

/** Whether this machine has what `need` names. Really tries it, once per process. */
export function capability(need: Need): Capability {
  const known = found.get(need);
  if (known !== undefined) return known;
  const result = PROBES[need]();
  found.set(need, result);
  return result;
}
