import type { LabHost } from "../hosts/host.ts";
import { type HostKernel, parseList, readHostKernel } from "../observe/kernel-state.ts";
import { run, runChecked } from "../system/processes.ts";
import type { FaultSite, Sighting } from "./fault.ts";

/** What faults say to, and hear from, the kernel of a host. */

/** Equivalent to typing the lines after `ip`, stopping at the first that fails. @throws LabError "command-failed" */
export async function ipBatch(host: LabHost, lines: readonly string[]): Promise<void> {
  await runChecked(host.anchor.enter(["ip", "-batch", "-"]), { input: textOf(lines) });
}

/** The same after `bridge`. @throws LabError "command-failed" */
export async function bridgeBatch(host: LabHost, lines: readonly string[]): Promise<void> {
  await runChecked(host.anchor.enter(["bridge", "-batch", "-"]), { input: textOf(lines) });
}

export function kernelOf(host: LabHost): Promise<HostKernel> {
  return readHostKernel({ exec: ({ argv }) => run(host.anchor.enter(argv)) }, host.name);
}

export interface LinkFacts {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly carrier: boolean;
  /** Addresses with their prefix lengths, those that the kernel gives itself left out. */
  readonly addresses: readonly string[];
  /** Undefined unless it is a vxlan device. */
  readonly vxlan?: VxlanFacts;
}

interface VxlanFacts {
  readonly id: number;
  readonly local: string;
  readonly port: number;
  readonly learning: boolean;
}

/** Undefined when there is no such link. */
export async function linkOf(host: LabHost, name: string): Promise<LinkFacts | undefined> {
  const argv = ["ip", "-j", "-d", "address", "show", "dev", name];
  const { exitCode, stdout } = await run(host.anchor.enter(argv));
  const link = exitCode === 0 ? parseList(stdout)[0] : undefined;
  if (link === undefined) {
    return undefined;
  }
  const flags = Array.isArray(link["flags"]) ? link["flags"] : [];
  const addresses = Array.isArray(link["addr_info"]) ? link["addr_info"] : [];
  const vxlan = vxlanOf(link["linkinfo"]);
  return {
    name,
    mac: String(link["address"]),
    mtu: Number(link["mtu"]),
    up: flags.includes("UP"),
    carrier: flags.includes("LOWER_UP"),
    addresses: addresses.flatMap((address: Readonly<Record<string, unknown>>) =>
      address["scope"] === "link"
        ? []
        : [`${String(address["local"])}/${String(address["prefixlen"])}`],
    ),
    ...(vxlan === undefined ? {} : { vxlan }),
  };
}

/** Says that a dump of the host showed something. */
export function dumped(host: LabHost, what: string): Sighting {
  return { saw: `a dump of ${host.name} shows ${what}` };
}

/** The first moment at which each of several things was seen, or undefined while one of them was not. */
export function allSeen(
  site: FaultSite,
  wanted: readonly { readonly what: string; readonly is: ChangeTest }[],
): Sighting | undefined {
  const changes = site.kernelChanges();
  const found = wanted.map(({ is }) => changes.find(({ event }) => is(event)));
  const times = found.flatMap((change) => (change === undefined ? [] : [change.atMs]));
  return times.length === wanted.length && times.length > 0
    ? {
        saw: `the kernel of ${site.host().name} told of ${wanted.map(({ what }) => what).join(", ")}`,
        atMs: Math.min(...times),
      }
    : undefined;
}

type ChangeTest = (event: ReturnType<FaultSite["kernelChanges"]>[number]["event"]) => boolean;

function vxlanOf(linkInfo: unknown): VxlanFacts | undefined {
  if (typeof linkInfo !== "object" || linkInfo === null || !("info_data" in linkInfo)) {
    return undefined;
  }
  const kind: unknown = Reflect.get(linkInfo, "info_kind");
  const data = linkInfo.info_data as Readonly<Record<string, unknown>>;
  return kind === "vxlan"
    ? {
        id: Number(data["id"]),
        local: String(data["local"] ?? data["local6"]),
        port: Number(data["port"]),
        learning: data["learning"] === true,
      }
    : undefined;
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}
