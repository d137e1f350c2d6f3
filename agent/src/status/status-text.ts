/** `flanneld status` for people. */
import { FAMILIES } from "../core/ip.ts";
import type { PerFamily } from "../core/ip.ts";
import { HINDRANCES } from "../daemon-readiness.ts";
import type { AgentState, LeaseState } from "../daemon-vitals.ts";
import type { Report } from "./pages.ts";

/** Whoever wants all of them takes `--json`. */
const PEERS_MAX = 20;
const LABEL_WIDTH = 10;

export function formatStatus({ version, uptimeSeconds, state }: Report): string {
  const word = state.ready ? "ready" : "not ready";
  return [
    `flanneld ${version}: ${word}, ${state.stage}, up for ${formatSeconds(uptimeSeconds)}`,
    ...state.hindrances.map((one) => `  because ${HINDRANCES[one]}`),
    row("lease", leaseWords(state)),
    row("backend", backendWords(state)),
    row("store", storeWords(state)),
    row("kernel", kernelWords(state)),
    ...list("passes", passLines(state)),
    ...list("refused", refusalLines(state)),
    ...list("trouble", state.complaints),
    ...list("peers", peerLines(state.peers)),
    "",
  ].join("\n");
}

function row(label: string, words: readonly string[]): string {
  return label.padEnd(LABEL_WIDTH) + words.join(", ");
}

function list(label: string, lines: readonly string[]): readonly string[] {
  return [
    row(label, lines.length === 0 ? ["none"] : []).trimEnd(),
    ...lines.map((one) => `  ${one}`),
  ];
}

function leaseWords({ lease, store }: AgentState): readonly string[] {
  if (lease === undefined) return ["none yet"];
  const left = store?.leaseSecondsLeft;
  return [
    valuesOf(lease.subnets),
    `public IP ${valuesOf(lease.publicIps)}`,
    left === "never"
      ? "reserved, never runs out"
      : left === undefined
        ? "not known when it runs out"
        : `runs out in ${formatSeconds(left)} unless renewed`,
  ];
}

function backendWords({ backend }: AgentState): readonly string[] {
  if (backend === undefined) return ["none yet"];
  const { type, mtu, links, networks } = backend;
  return [
    type,
    `MTU ${mtu}`,
    `network ${valuesOf(networks)}`,
    ...(links.length === 0 ? [] : [`device ${links.join(" and ")}`]),
  ];
}

function storeWords({ store }: AgentState): readonly string[] {
  if (store === undefined) return ["none yet"];
  const { endpoints, outageSeconds, revision } = store;
  return [
    endpoints,
    outageSeconds === undefined ? "answers" : `no answer for ${formatSeconds(outageSeconds)}`,
    revision === undefined ? "peers not read yet" : `peers known up to revision ${revision}`,
  ];
}

function kernelWords({ counters }: AgentState): readonly string[] {
  if (counters === undefined) return ["not looked at yet"];
  return [
    `${counters.reconcile_objects_wanted} objects wanted`,
    `${counters.reconcile_objects_present} of them found at the last look`,
    `${counters.reconcile_objects_open} open`,
  ];
}

function passLines({ passes }: AgentState): readonly string[] {
  return passes.map(
    ({ cause, kind, changed, refused, seconds, secondsAgo }) =>
      `${cause.padEnd(13)} ${kind.padEnd(6)} ${formatSeconds(secondsAgo)} ago: ${changed} changed, ${refused} refused, in ${(seconds * 1_000).toFixed(1)} ms`,
  );
}

function refusalLines({ refusals }: AgentState): readonly string[] {
  return refusals.map(({ message, nextTrySeconds }) =>
    nextTrySeconds === undefined
      ? `${message}; tried again at the next look at the whole kernel`
      : `${message}; tried again in ${formatSeconds(nextTrySeconds)}`,
  );
}

function peerLines(peers: readonly LeaseState[]): readonly string[] {
  const lines = peers
    .slice(0, PEERS_MAX)
    .map(
      ({ subnets, publicIps, backendType }) =>
        `${valuesOf(subnets)} via ${valuesOf(publicIps)}${backendType === "" ? "" : ` ${backendType}`}`,
    );
  const more = peers.length - lines.length;
  return more === 0 ? lines : [...lines, `and ${more} more: --json lists them all`];
}

function valuesOf(values: PerFamily<string>): string {
  const found = FAMILIES.flatMap((family) => values[family] ?? []);
  return found.length === 0 ? "none" : found.join(" and ");
}

/** The two largest units: `23 h 59 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 0) return `-${formatSeconds(-seconds)}`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48
    ? `${hours} h ${minutes % 60} min`
    : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
