import { formatCidr, networkOf, parseCidr } from "../addresses.ts";
import { LabError } from "../errors.ts";
import { POD_BRIDGE } from "../hosts/link-scripts.ts";
import type { Lab } from "../lab.ts";
import { EXTERNAL_INTERFACE } from "../topology.ts";
import { type HostKernel, parseList, readHostKernel } from "./kernel-state.ts";

/** A host as its kernel knows it: nothing of it comes from an agent, the store, or what the lab meant to make. */
export interface HostSeen {
  readonly name: string;
  /** Of the external interface, with their prefix lengths. */
  readonly addresses: readonly string[];
  /** What the bridge of its pods is in; empty while there is none. */
  readonly podSubnets: readonly string[];
  readonly kernel: HostKernel;
}

/** Equivalent to `ip address show` and the dumps of `readHostKernel` on a host. @throws LabError "command-failed" */
export async function readHostSeen(lab: Pick<Lab, "exec">, host: string): Promise<HostSeen> {
  const argv = ["ip", "-j", "address", "show", "scope", "global"];
  const [kernel, { exitCode, stdout, stderr }] = await Promise.all([
    readHostKernel(lab, host),
    lab.exec({ host, argv }),
  ]);
  if (exitCode !== 0) {
    throw new LabError("command-failed", `${host}: ${argv.join(" ")}: ${stderr.trim()}`);
  }
  return {
    name: host,
    addresses: addressesOf(stdout, EXTERNAL_INTERFACE),
    podSubnets: [...new Set(addressesOf(stdout, POD_BRIDGE).map(networkText))],
    kernel,
  };
}

/** The network of an address with its prefix length, as text; other text stays as it is. */
export function networkText(address: string): string {
  const cidr = parseCidr(address);
  return cidr === undefined ? address : formatCidr(networkOf(cidr));
}

/** Addresses of a device in what `ip -j address` said, e.g. `192.0.2.11/24`, IPv4 first as ip(8) has them. */
export function addressesOf(text: string, device: string): string[] {
  const link = parseList(text).find(({ ifname }) => ifname === device);
  const infos: unknown = link?.["addr_info"];
  return (Array.isArray(infos) ? (infos as Readonly<Record<string, unknown>>[]) : [])
    .filter(({ local }) => typeof local === "string")
    .map(({ local, prefixlen }) => `${String(local)}/${String(prefixlen)}`);
}
