import type { IpFamily } from "../addresses.ts";
import { LabError } from "../errors.ts";
import type { Lab } from "../lab.ts";

/** What `ip` and `bridge` say of one host, read apart from any agent. */
export interface HostKernel {
  readonly routes: readonly KernelRoute[];
  /** Permanent ones only. */
  readonly neighbours: readonly KernelNeighbour[];
  /** Permanent entries with a destination. */
  readonly fdb: readonly KernelFdbEntry[];
  readonly vxlans: readonly KernelVxlan[];
}

export interface KernelRoute {
  readonly family: IpFamily;
  /** A prefix, or `default`. */
  readonly destination: string;
  readonly gateway: string | undefined;
  readonly device: string;
  readonly onlink: boolean;
  /** As `ip` names it: `boot`, `kernel`, or a number. */
  readonly protocol: string;
}

export interface KernelNeighbour {
  readonly family: IpFamily;
  readonly address: string;
  readonly device: string;
  readonly mac: string;
}

export interface KernelFdbEntry {
  readonly device: string;
  readonly mac: string;
  readonly destination: string;
}

export interface KernelVxlan {
  readonly device: string;
  readonly mac: string;
}

/** What is asked of a host, in this order; each answers with a list in JSON. */
const QUESTIONS = [
  "ip -j -d -4 route show table main",
  "ip -j -d -6 route show table main",
  "ip -j neighbour show nud permanent",
  "bridge -j fdb show",
  "ip -j link show type vxlan",
] as const;
/** Asks all of it at once: to enter a host costs more than any of the answers. Arguments: the questions. */
const ASK = 'for question; do echo "=="; $question || exit; done';

/** Reads the main tables, permanent neighbours, the FDB and the vxlan devices of a host. */
export async function readHostKernel(lab: Pick<Lab, "exec">, host: string): Promise<HostKernel> {
  const argv = ["sh", "-c", ASK, "ask", ...QUESTIONS];
  const { exitCode, stdout, stderr } = await lab.exec({ host, argv });
  const answers = stdout.split(/^==$/m).slice(1);
  if (exitCode !== 0) {
    const question = QUESTIONS[answers.length - 1] ?? "sh";
    throw new LabError("command-failed", `${host}: ${question}: ${stderr.trim()}`);
  }
  if (answers.length !== QUESTIONS.length) {
    const count = `${answers.length} of ${QUESTIONS.length} answers`;
    throw new LabError("command-failed", `${host}: ${count}: ${stderr.trim()}`);
  }
  const [routes4 = [], routes6 = [], neighbours = [], fdb = [], vxlans = []] =
    answers.map(parseList);
  return {
    routes: [
      ...routes4.map((route) => kernelRoute("ipv4", route)),
      ...routes6.map((route) => kernelRoute("ipv6", route)),
    ],
    neighbours: neighbours.map(kernelNeighbour),
    fdb: fdb.filter((entry) => entry["dst"] !== undefined).map(kernelFdbEntry),
    vxlans: vxlans.map((link) => ({
      device: String(link["ifname"]),
      mac: String(link["address"]),
    })),
  };
}

type JsonObject = Readonly<Record<string, unknown>>;

/** iproute2 prints nothing at all for some empty lists. */
export function parseList(text: string): readonly JsonObject[] {
  const value: unknown = text.trim() === "" ? [] : JSON.parse(text);
  return Array.isArray(value) ? (value as JsonObject[]) : [];
}

export function kernelRoute(family: IpFamily, route: JsonObject): KernelRoute {
  const gateway = route["gateway"];
  const flags = route["flags"];
  const protocol = route["protocol"];
  return {
    family,
    destination: String(route["dst"]),
    gateway: typeof gateway === "string" ? gateway : undefined,
    device: String(route["dev"]),
    onlink: Array.isArray(flags) && flags.includes("onlink"),
    protocol: typeof protocol === "string" ? protocol : "boot",
  };
}

function kernelNeighbour(entry: JsonObject): KernelNeighbour {
  const address = String(entry["dst"]);
  return {
    family: address.includes(":") ? "ipv6" : "ipv4",
    address,
    device: String(entry["dev"]),
    mac: String(entry["lladdr"]),
  };
}

function kernelFdbEntry(entry: JsonObject): KernelFdbEntry {
  return {
    device: String(entry["ifname"]),
    mac: String(entry["mac"]),
    destination: String(entry["dst"]),
  };
}
