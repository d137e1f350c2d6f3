import { copierText } from "./faults/duplicate/index.ts";
import { clockLibrary } from "./faults/faked-clock.ts";
import type { FaultNeed } from "./faults/fault.ts";
import { NETEM_TRIAL } from "./faults/impairment.ts";
import { filterText } from "./faults/packet-filter.ts";
import { FAULTS } from "./faults/registry.ts";
import { devicesOf, type WirePlan, wireText } from "./faults/wire.ts";
import { LabError } from "./errors.ts";
import { DRIVERS } from "./hosts/registry.ts";
import {
  missingRequirements,
  COMPILER_REQUIREMENTS,
  installCommand,
  LAB_REQUIREMENTS,
  packagesOf,
  type Requirement,
} from "./requirements.ts";
import { fileExists, findProgram } from "./system/files.ts";
import { isRoot, nodeProgram } from "./system/machine.ts";
import { run } from "./system/processes.ts";

/** One thing that this machine can or cannot do. */
export interface Finding {
  readonly name: string;
  /** Whether `lab up` cannot do without. */
  readonly needed: boolean;
  readonly ok: boolean;
  /** What was found, or why not. */
  readonly detail: string;
  /** What to do about it when it is not ok. */
  readonly remedy: string;
}

interface Probe {
  readonly name: string;
  readonly needed: boolean;
  /** Tried in a network namespace that ends with it; nothing of the machine is touched. */
  readonly script: string;
  readonly remedy: string;
}

/** Opens what the witnesses of a run record packets with. */
const RING_SCRIPT = `
import(process.argv[1]).then(({ PacketRing }) => {
  PacketRing.open({ blocks: 1 }).close();
  console.log("evidence has the last packets");
}).catch(({ message }) => { console.error(message); process.exit(1); });
`;

const PROBES: readonly Probe[] = [
  {
    name: "namespaces",
    needed: true,
    script: "echo network, mount, PID, UTS",
    remedy:
      "run as root, or sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0",
  },
  linkProbe("bridge", "bridge", true),
  linkProbe("veth", "veth peer name probe1", true),
  {
    name: "forwarding",
    needed: true,
    script: "echo 1 > /proc/sys/net/ipv4/ip_forward && echo IPv4",
    remedy: "/proc/sys is read-only here: in a container, start it with --privileged",
  },
  {
    name: "IPv6",
    needed: false,
    script: "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding && echo for --family dual",
    remedy: "boot without ipv6.disable=1",
  },
  linkProbe("vxlan", "vxlan id 1 dstport 8472", false),
  linkProbe("wireguard", "wireguard", false),
  linkProbe("ipip", "ipip local 192.0.2.1", false),
  {
    name: "tun",
    needed: false,
    script: "ip tuntap add probe0 mode tun && echo for the udp backend",
    remedy: "modprobe tun, and make /dev/net/tun readable and writable",
  },
  {
    name: "packets",
    needed: false,
    // Found when it is asked for: a lab may be copied to where the witnesses' package is not.
    get script() {
      return `exec '${nodeProgram()}' --eval '${RING_SCRIPT}' '${import.meta.resolve("linux")}'`;
    },
    remedy:
      "use a kernel with CONFIG_PACKET, and a C compiler: without them violations come without packets",
  },
  {
    name: "tcpdump",
    needed: false,
    script: "tcpdump --version | head -n1 | grep .",
    remedy: "install tcpdump: lab capture runs it, and it reads the packets of a violation",
  },
  {
    name: "br_netfilter",
    needed: false,
    script: "cat /proc/sys/net/bridge/bridge-nf-call-iptables",
    remedy: "modprobe br_netfilter: flannel's own agent wants it unless EnableNFTables is set",
  },
  {
    name: "nftables",
    needed: false,
    script: "nft add table inet probe && nft --version",
    remedy: "install nftables",
  },
  {
    name: "iptables",
    needed: false,
    script: "XTABLES_LOCKFILE=/dev/null iptables -V",
    remedy: "install iptables",
  },
];

const WIRE_TRIAL: WirePlan = { table: "probe", port: "probe0", direction: "both" };

const PROBE_TIMEOUT_MS = 10_000;

/** What some faults need, each with a probe. */
const FAULT_PROBES: Readonly<Record<FaultNeed, Probe>> = {
  "packet-filter": {
    name: "packet-filter",
    needed: false,
    script: `ip link add probe0 type veth peer name probe1 && nft -f - <<END && echo nftables at both ends of a link
${filterText({ table: "probe", port: "probe0", direction: "both", from: "all", routers: [], verdict: "numgen random mod 100 < 50 drop" })}END`,
    remedy:
      "install nftables, and use a kernel of 5.16 or newer with netdev chains (NF_TABLES_NETDEV)",
  },
  "packet-reset": {
    name: "packet-reset",
    needed: false,
    script: `ip link add probe0 type veth peer name probe1 && nft -f - <<END && echo nftables answers with resets
${filterText({ table: "probe", port: "probe0", direction: "out", from: { macs: [], addresses: ["192.0.2.1"], match: "tcp dport 1" }, routers: [], verdict: "reject with tcp reset" })}END`,
    remedy:
      "install nftables, and use a kernel that rejects in netdev chains (5.10 or newer, NFT_REJECT_NETDEV)",
  },
  "packet-copy": {
    name: "packet-copy",
    needed: false,
    script: `ip link add probe0 type veth peer name probe1 && nft -f - <<END && echo nftables sends packets twice
${copierText("probe", "probe0", 50)}END`,
    remedy:
      "install nftables, and use a kernel of 5.16 or newer that copies in netdev chains (NFT_DUP_NETDEV)",
  },
  "traffic-shaper": {
    name: "traffic-shaper",
    needed: false,
    script: `ip link add probe0 type veth peer name probe1 && tc qdisc add dev probe0 root tbf rate 1mbit burst 16000 limit 16000 && echo tbf limits rates`,
    remedy: "modprobe sch_tbf (and install iproute2 for tc)",
  },
  impairment: {
    name: "impairment",
    needed: false,
    script: `${NETEM_TRIAL} 2>/dev/null && echo netem && exit
ip link add ${WIRE_TRIAL.port} type veth peer name probe1 &&
for device in ${devicesOf(WIRE_TRIAL).join(" ")}; do ip tuntap add $device mode tap || exit; done &&
nft -f - <<END && echo userspace wire, since the kernel has no netem
${wireText(WIRE_TRIAL)}END`,
    remedy:
      "modprobe sch_netem; or modprobe tun, make /dev/net/tun readable and writable, and use a kernel of 5.16 or newer that forwards in netdev chains (NFT_FWD_NETDEV)",
  },
  faketime: {
    name: "faketime",
    needed: false,
    // Made when it is tried: the library may have been installed a moment ago.
    get script() {
      return `library='${clockLibrary() ?? ""}'
[ -n "$library" ] || { echo no libfaketimeMT.so.1 >&2; exit 1; }
now=$(date +%s)
[ "$(LD_PRELOAD=$library FAKETIME=+1h date +%s)" -ge $((now + 3600)) ] && echo "$library"`;
    },
    remedy: "apt-get install faketime",
  },
  "time-namespace": {
    name: "time-namespace",
    needed: false,
    script: `[ "$(unshare --time --boottime 1000000000 cut -d. -f1 /proc/uptime)" -ge 1000000000 ] && echo another monotonic clock for one program`,
    remedy:
      "use a newer kernel, with time namespaces (TIME_NS) that a program enters by exec(2), and an unshare(1) that knows --time",
  },
};

/** Whether the machine has what a fault needs. */
export function examineFaultNeed(need: FaultNeed): Promise<Finding> {
  return examineProbe(FAULT_PROBES[need]);
}

/** @throws LabError "requirement-missing" saying in one line what the machine has not got, and what would help */
export async function demandFaultNeed(need: FaultNeed): Promise<void> {
  const { ok, detail, remedy } = await examineFaultNeed(need);
  if (!ok) {
    throw new LabError("requirement-missing", `no ${need} here: ${detail}; remedy: ${remedy}`);
  }
}

/** Which faults the machine cannot do, and why. */
async function examineFaults(): Promise<Finding[]> {
  const needs = await Promise.all(Object.values(FAULT_PROBES).map(examineProbe));
  const missing = needs.filter(({ ok }) => !ok);
  const without = [...FAULTS.values()]
    .filter(({ needs: need }) => missing.some(({ name }) => name === need))
    .map(({ name }) => name);
  const remedy = missing.map((need) => need.remedy).join("; ");
  const all = `all ${FAULTS.size} of lab fault`;
  const detail =
    without.length === 0
      ? all
      : `not ${without.join(", ")}: ${missing.map((need) => need.detail).join("; ")}`;
  return [...needs, { name: "faults", needed: false, ok: without.length === 0, detail, remedy }];
}

/** Tries everything, each by itself. */
export async function examine(): Promise<Finding[]> {
  const requirements = [...LAB_REQUIREMENTS, ...COMPILER_REQUIREMENTS];
  const programs = await Promise.all(requirements.map(examineRequirement));
  const probes = await Promise.all(PROBES.map(examineProbe));
  const drivers = await examineContainers();
  return [examinePrivileges(), ...programs, ...probes, drivers, ...(await examineFaults())];
}

/** Whether hosts can be containers. */
async function examineContainers(): Promise<Finding> {
  const driver = DRIVERS.container;
  const finding = { name: "docker", needed: false } as const;
  const refused = driver.refusal();
  if (refused !== undefined) {
    return { ...finding, ok: false, detail: refused, remedy: "run as root" };
  }
  const missing = missingRequirements(driver.requirements);
  if (missing.length > 0) {
    const remedy = remedyOf("Docker", missing);
    return { ...finding, ok: false, detail: "dockerd is not installed", remedy };
  }
  try {
    return { ...finding, ok: true, detail: await driver.examine(), remedy: "" };
  } catch (error) {
    if (!(error instanceof LabError)) {
      throw error;
    }
    const detail = [error.message, ...error.evidence.slice(-1)].join(": ");
    return { ...finding, ok: false, detail, remedy: "see docs/lab.md, Hosts that are containers" };
  }
}

function examinePrivileges(): Finding {
  const detail = isRoot() ? "root" : "ordinary user: the lab runs in a user namespace";
  return { name: "privileges", needed: true, ok: true, detail, remedy: "" };
}

const VERSION_COMMANDS: Readonly<Record<string, readonly string[]>> = {
  etcd: ["etcd", "--version"],
  ip: ["ip", "-V"],
  ping: ["ping", "-V"],
  unshare: ["unshare", "--version"],
  nsenter: ["nsenter", "--version"],
  cc: ["cc", "--version"],
};

async function examineRequirement(requirement: Requirement): Promise<Finding> {
  const { name } = requirement;
  const ok = missingRequirements([requirement]).length === 0;
  const command = VERSION_COMMANDS[name];
  const said = ok && command !== undefined ? (await run(command)).stdout.split("\n", 1)[0] : "";
  const remedy = remedyOf(name, [requirement]);
  return { name, needed: true, ok, detail: ok ? said || "found" : "not installed", remedy };
}

function remedyOf(what: string, missing: readonly Requirement[]): string {
  return fileExists("/etc/debian_version")
    ? installCommand(packagesOf(missing)).join(" ")
    : `install what provides ${what}`;
}

async function examineProbe({ name, needed, script, remedy }: Probe): Promise<Finding> {
  if (findProgram("unshare") === undefined) {
    return { name, needed, ok: false, detail: "no unshare to try it with", remedy };
  }
  const user = isRoot() ? [] : ["--user", "--map-root-user"];
  const inside = [
    "unshare",
    ...user,
    "--net",
    "--mount",
    "--uts",
    "--pid",
    "--fork",
    "--kill-child",
  ];
  const { exitCode, stdout, stderr } = await run([...inside, "sh", "-c", script], {
    timeoutMs: PROBE_TIMEOUT_MS,
  });
  const ok = exitCode === 0;
  const said = (ok ? stdout : stderr).trim().split("\n", 1)[0] ?? "";
  return { name, needed, ok, detail: said || (ok ? "yes" : `exit code ${exitCode}`), remedy };
}

function linkProbe(name: string, kind: string, needed: boolean): Probe {
  return {
    name,
    needed,
    script: `ip link add probe0 type ${kind} && echo yes`,
    remedy: `modprobe ${name}, or use a kernel that has it`,
  };
}
