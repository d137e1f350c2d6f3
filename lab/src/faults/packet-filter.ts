import { LabError } from "../errors.ts";
import type { NetnsHost } from "../hosts/netns/host.ts";
import { parsePingOutput } from "../observe/ping-output.ts";
import { findProgram } from "../system/files.ts";
import { run, runChecked } from "../system/processes.ts";
import { STORE_ADDRESS } from "../topology.ts";
import type { FaultSite, Parameter } from "./fault.ts";

/**
 * Faults of the network, at a host's port of the switch: one nftables table per fault, in the supervisor's namespace, with
 * the hooks where frames come from the host (ingress) and where they leave for it (egress, kernel 5.16 or newer).
 */
export interface FilterPlan {
  readonly table: string;
  /** The host's port. */
  readonly port: string;
  readonly direction: Direction;
  readonly from: Side;
  /** The routers on the host's segment: not peers, though packets of peers come through them. */
  readonly routers: readonly string[];
  /** What is done to them, in nft's words. */
  readonly verdict: string;
}

export const SIDES = ["all", "store", "peers"] as const;
/** Who is at the other end of the packets. */
export type Side = (typeof SIDES)[number];

const PING_TIMEOUT_MS = 20_000;
export const DIRECTIONS = ["both", "in", "out"] as const;
export type Direction = (typeof DIRECTIONS)[number];

export const DIRECTION: Parameter = {
  help: "in: what the host is sent, out: what it sends (default both)",
  byDefault: "both",
  value: { kind: "word", words: DIRECTIONS },
};

/** Somebody beyond the filter, for the pings that look whether it works. */
export function beyond(site: FaultSite, from: Side): string {
  const [other] = site.otherHosts();
  const peer = other?.plan.addresses[0]?.address;
  const router = site.host().plan.addresses[0]?.router ?? "";
  return from === "store" ? STORE_ADDRESS : (peer ?? router);
}

/** The text for `nft -f`. */
export function filterText(plan: FilterPlan): string {
  const { table, port, direction } = plan;
  const chain = (name: string, hook: string, field: "saddr" | "daddr"): string[] => [
    `  chain ${name} {`,
    `    type filter hook ${hook} device "${port}" priority 0; policy accept;`,
    ...rules(plan, field).map((rule) => `    ${rule}`),
    "  }",
  ];
  return [
    `table netdev ${table} {`,
    ...(direction === "in" ? [] : chain("from-host", "ingress", "daddr")),
    ...(direction === "out" ? [] : chain("to-host", "egress", "saddr")),
    "}",
    "",
  ].join("\n");
}

function rules({ from, routers, verdict }: FilterPlan, field: "saddr" | "daddr"): string[] {
  switch (from) {
    case "all":
      return [verdict];
    case "store":
      return [`ip ${field} ${STORE_ADDRESS} ${verdict}`];
    case "peers":
      // Packets of pods carry pods' addresses: what is not the store's or the router's own is the peers'.
      return [
        ...[STORE_ADDRESS, ...routers].map(
          (address) => `${address.includes(":") ? "ip6" : "ip"} ${field} ${address} accept`,
        ),
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        `meta protocol { ip, ip6 } ${verdict}`,
      ];
  }
}

/** @throws LabError "requirement-missing" without nft, "command-failed" with what it complained of */
export async function addFilter(plan: FilterPlan): Promise<void> {
  if (findProgram("nft") === undefined) {
    throw new LabError(
      "requirement-missing",
      "this machine has no nft, which this fault needs: install nftables",
    );
  }
  await runChecked(["nft", "-f", "-"], { input: filterText(plan) });
}

export async function removeFilter({ table }: FilterPlan): Promise<void> {
  const { exitCode } = await run(["nft", "list", "table", "netdev", table]);
  if (exitCode === 0) {
    await runChecked(["nft", "delete", "table", "netdev", table]);
  }
}

/** Pings from a host; how many came back. */
export async function pingFrom(
  host: NetnsHost,
  address: string,
  effort: { readonly count: number; readonly intervalSeconds: number },
): Promise<{ readonly sent: number; readonly received: number }> {
  const { count, intervalSeconds } = effort;
  const argv = [
    "ping",
    "-n",
    "-q",
    "-c",
    `${count}`,
    "-i",
    `${intervalSeconds}`,
    "-W",
    "0.5",
    address,
  ];
  const { stdout } = await run(host.anchor.enter(argv), { timeoutMs: PING_TIMEOUT_MS });
  const counted = parsePingOutput(`== ${address}\n${stdout}`).get(address);
  return { sent: count, received: counted?.received ?? 0 };
}

/** @throws LabError "wrong-state" when the address does not answer even before anything is done */
export async function demandAnswer(host: NetnsHost, address: string): Promise<void> {
  if ((await pingFrom(host, address, { count: 2, intervalSeconds: 0.05 })).received === 0) {
    throw new LabError("wrong-state", `${host.name} does not reach ${address} as it is`);
  }
}
