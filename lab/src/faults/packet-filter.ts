import { LabError } from "../errors.ts";
import type { LabHost } from "../hosts/host.ts";
import { parsePingCount } from "../observe/ping-output.ts";
import { findProgram } from "../system/files.ts";
import { run, runChecked } from "../system/processes.ts";
import { MAX_STORE_MEMBERS } from "../options.ts";
import { type HostPlan, storeAddresses } from "../topology.ts";
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
  readonly from: Side | PeerEnd;
  /** The routers on the host's segment: not peers, though packets of peers come through them. */
  readonly routers: readonly string[];
  /** What is done to them, in nft's words. */
  readonly verdict: string;
}

/** Some hosts at the other end, or only one kind of their packets. */
export interface PeerEnd {
  /** On the same segment their frames have these; packets of their pods go by them where nothing encapsulates them. */
  readonly macs: readonly string[];
  readonly addresses: readonly string[];
  /** In nft's words, such as `udp dport 8472`. */
  readonly match?: string;
}

export const SIDES = ["all", "store", "peers"] as const;
/** Who is at the other end of the packets. */
export type Side = (typeof SIDES)[number];

const PING_TIMEOUT_MS = 20_000;
/** For the first answer, where some come: another fault may delay them. Source: ping(8), -W counts until one came. */
export const ANSWER_SECONDS = 3;
const TRIAL: PingEffort = { count: 2, intervalSeconds: 0.05, waitSeconds: ANSWER_SECONDS };
const DIRECTIONS = ["both", "in", "out"] as const;
export type Direction = (typeof DIRECTIONS)[number];

export const DIRECTION: Parameter = {
  help: "in: what the host is sent, out: what it sends (default both)",
  byDefault: "both",
  value: { kind: "word", words: DIRECTIONS },
};

const [FIRST_MEMBER = "", LAST_MEMBER = ""] = [0, MAX_STORE_MEMBERS - 1].map(
  (index) => storeAddresses(MAX_STORE_MEMBERS)[index],
);
/** As nft(8) writes it. */
const STORE_RANGE = `${FIRST_MEMBER}-${LAST_MEMBER}`;

/** All that these hosts and their pods send and are sent. */
export function wholeHosts(plans: readonly HostPlan[]): PeerEnd {
  return {
    macs: plans.map(({ mac }) => mac),
    addresses: plans.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
  };
}

/** As the parameter says. */
export function directionOf(parameters: Readonly<Record<string, string>>): Direction {
  return DIRECTIONS.find((word) => word === parameters["direction"]) ?? "both";
}

/** Somebody beyond the filter, for the pings that look whether it works. */
export function beyond(site: FaultSite, from: Side): string {
  const [other] = site.otherHosts();
  const peer = other?.plan.addresses[0]?.address;
  const router = site.host().plan.addresses[0]?.router ?? "";
  return from === "store" ? FIRST_MEMBER : (peer ?? router);
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
  if (typeof from === "object") {
    const { macs, addresses, match } = from;
    const tail = match === undefined ? verdict : `${match} ${verdict}`;
    return [
      ...macs.map((mac) => `ether ${field} ${mac} ${tail}`),
      ...addresses.map((address) => `${familyOf(address)} ${field} ${address} ${tail}`),
    ];
  }
  switch (from) {
    case "all":
      return [verdict];
    case "store":
      return [`ip ${field} ${STORE_RANGE} ${verdict}`];
    case "peers":
      // Packets of pods carry pods' addresses: what is not the store's or the router's own is the peers'.
      return [
        ...[STORE_RANGE, ...routers].map(
          (address) => `${familyOf(address)} ${field} ${address} accept`,
        ),
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        `meta protocol { ip, ip6 } ${verdict}`,
      ];
  }
}

/** As nft calls it. */
function familyOf(address: string): "ip" | "ip6" {
  return address.includes(":") ? "ip6" : "ip";
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

export interface PingEffort {
  readonly count: number;
  readonly intervalSeconds: number;
  /** What is in each, beside the headers. */
  readonly bytes?: number;
  /** For the last answer; half a second unless said. */
  readonly waitSeconds?: number;
}

export interface PingFindings extends PingAnswers {
  readonly sent: number;
  readonly received: number;
}

export interface PingAnswers {
  /** Came again. */
  readonly duplicates: number;
  /** Held other bytes than were sent, or came with a wrong checksum. */
  readonly corrupted: number;
  /** Came after one to a later ping. */
  readonly overtaken: number;
  /** Of the quickest and of the slowest; undefined without any. */
  readonly roundTripMs: { readonly min: number; readonly max: number } | undefined;
}

/** Pings from a host or its pod; how many came back, and how. */
export async function pingFrom(
  { anchor }: Pick<LabHost, "anchor">,
  address: string,
  { count, intervalSeconds, bytes, waitSeconds = 0.5 }: PingEffort,
): Promise<PingFindings> {
  const size = bytes === undefined ? [] : ["-s", `${bytes}`];
  const argv = `ping -n -c ${count} -i ${intervalSeconds} -W ${waitSeconds}`.split(" ");
  const { stdout } = await run(anchor.enter([...argv, ...size, address]), {
    timeoutMs: PING_TIMEOUT_MS,
  });
  const received = parsePingCount(stdout)?.received ?? 0;
  return { sent: count, received, ...parseAnswers(stdout) };
}

/** Source: ping(8), the answers and the summary of iputils. */
export function parseAnswers(text: string): PingAnswers {
  const [, min, max] = /min\/avg\/max[^=]*= ([\d.]+)\/[\d.]+\/([\d.]+)/.exec(text) ?? [];
  const first = text.split("\n").filter((line) => !line.includes("DUP!"));
  const numbers = first.flatMap((line) => /icmp_seq=(\d+) .*time=/.exec(line)?.[1] ?? []);
  return {
    duplicates: Number(/\+(\d+) duplicates/.exec(text)?.[1] ?? 0),
    corrupted: Number(/\+(\d+) corrupted/.exec(text)?.[1] ?? 0),
    overtaken: numbers.filter((number, at) => at > 0 && Number(number) < Number(numbers[at - 1]))
      .length,
    roundTripMs: min === undefined ? undefined : { min: Number(min), max: Number(max) },
  };
}

/** @throws LabError "wrong-state" when the address does not answer even before anything is done */
export async function demandAnswer(host: LabHost, address: string): Promise<void> {
  if ((await pingFrom(host, address, TRIAL)).received === 0) {
    throw new LabError("wrong-state", `${host.name} does not reach ${address} as it is`);
  }
}
