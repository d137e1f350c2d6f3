/** The table of metrics: what /metrics answers and what docs/operating.md lists both come from it. */
import type { ReconcileCounters } from "../daemon-counters.ts";
import { HINDRANCES } from "../daemon-readiness.ts";
import type { Hindrance } from "../daemon-readiness.ts";
import type { AgentState } from "../daemon-vitals.ts";
import type { StoreFigures } from "../subnet-manager/subnet-manager.ts";
import { formatFamilies } from "./exposition.ts";
import type { Family, Sample } from "./exposition.ts";
import type { LinkTraffic } from "./link-traffic.ts";

/** What the process costs. */
export interface ProcessFigures {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** Wall clock at the start, in seconds since 1970. */
  readonly startSeconds: number;
}

export interface MetricsInput {
  readonly version: string;
  readonly state: AgentState;
  /** Of the backend's own devices. */
  readonly traffic: readonly LinkTraffic[];
  readonly process: ProcessFigures;
}

interface Row extends Omit<Family, "samples"> {
  read(input: MetricsInput): readonly Sample[];
}

const gauge = (name: string, help: string, read: Row["read"]): Row => ({
  name,
  type: "gauge",
  help,
  read,
});
const counter = (name: string, help: string, read: Row["read"]): Row => ({
  ...gauge(name, help, read),
  type: "counter",
});
const histogram = (name: string, help: string, read: Row["read"]): Row => ({
  ...gauge(name, help, read),
  type: "histogram",
});

/** One sample, or none where nothing is known. */
function one(value: number | undefined): readonly Sample[] {
  return value === undefined ? [] : [{ value }];
}

/** One sample for each member, under a label. */
function each(
  label: string,
  values: Readonly<Record<string, Sample["value"]>> | undefined,
): readonly Sample[] {
  return Object.entries(values ?? {}).map(([name, value]) => ({
    labels: { [label]: name },
    value,
  }));
}

const counters = ({ state }: MetricsInput): ReconcileCounters | undefined => state.counters;
const figures = ({ state }: MetricsInput): StoreFigures | undefined => state.store?.figures;

const NODE: readonly Row[] = [
  gauge("flannel_build_info", "The agent's version, always 1.", ({ version }) => [
    { labels: { version }, value: 1 },
  ]),
  gauge("flannel_ready", "1 while the agent is ready, as /readyz says.", ({ state }) => [
    { value: Number(state.ready) },
  ]),
  gauge("flannel_hindrance", "1 for each reason why the agent is not ready.", ({ state }) =>
    Object.keys(HINDRANCES).map((reason) => ({
      labels: { reason },
      value: Number(state.hindrances.some((hindrance) => hindrance === reason)),
    })),
  ),
  gauge("flannel_peers", "Leases of other nodes.", ({ state }) => one(state.peers.length)),
  gauge(
    "flannel_complaints",
    "Peers that are left out or likely to be cut off, a kernel that cannot be read, traffic rules that cannot be made; `flanneld status` names them.",
    ({ state }) => one(state.complaints.length),
  ),
  gauge("flannel_mtu_bytes", "Largest pod packet.", ({ state }) => one(state.backend?.mtu)),
  counter(
    "flannel_backend_receive_bytes_total",
    "Bytes that arrived for pods over the backend's own devices, as the kernel counts them.",
    ({ traffic }) =>
      traffic.map(({ link, receivedBytes }) => ({
        labels: { device: link },
        value: receivedBytes,
      })),
  ),
  counter(
    "flannel_backend_transmit_bytes_total",
    "Bytes that pods sent over the backend's own devices, as the kernel counts them.",
    ({ traffic }) =>
      traffic.map(({ link, sentBytes }) => ({ labels: { device: link }, value: sentBytes })),
  ),
];

/** Of the reasons of an agent that is not ready, those that say so. */
function isWithoutLease(hindrance: Hindrance): boolean {
  return hindrance === "lease missing" || hindrance === "lease unconfirmed";
}

const STORE: readonly Row[] = [
  gauge("flannel_lease_held", "1 while the store has the lease of this node.", ({ state }) =>
    one(Number(state.lease !== undefined && !state.hindrances.some(isWithoutLease))),
  ),
  gauge(
    "flannel_lease_seconds_left",
    "Until the lease of this node runs out unless it is renewed; +Inf for a reservation.",
    ({ state }) => {
      const left = state.store?.leaseSecondsLeft;
      return one(left === "never" ? Number.POSITIVE_INFINITY : left);
    },
  ),
  gauge(
    "flannel_store_outage_seconds",
    "How long the store has not answered, 0 while it does.",
    ({ state }) => (state.store === undefined ? [] : one(state.store.outageSeconds ?? 0)),
  ),
  gauge(
    "flannel_store_revision",
    "Revision of the store up to which the peers are known.",
    ({ state }) => one(state.store?.revision),
  ),
  counter(
    "flannel_store_watch_restarts_total",
    "Watches that ended and were taken up again, where they were (resumed) or with a list of everything (relisted).",
    (input) => each("how", figures(input)?.store_watch_restarts_total),
  ),
  counter("flannel_store_lease_renewals_total", "Renewals of the lease that were done.", (input) =>
    one(figures(input)?.store_lease_renewals_total),
  ),
  histogram(
    "flannel_store_request_duration_seconds",
    "Time to the answer of the store, or to giving up.",
    (input) => each("verb", figures(input)?.store_request_duration_seconds),
  ),
  counter("flannel_store_request_failures_total", "Requests without an answer.", (input) =>
    each("verb", figures(input)?.store_request_failures_total),
  ),
];

const KERNEL: readonly Row[] = [
  gauge("flannel_reconcile_objects_wanted", "Kernel objects that should be there.", (input) =>
    one(counters(input)?.reconcile_objects_wanted),
  ),
  gauge(
    "flannel_reconcile_objects_present",
    "Of the wanted ones, how many the last look at the whole kernel found as wanted.",
    (input) => one(counters(input)?.reconcile_objects_present),
  ),
  gauge(
    "flannel_reconcile_objects_open",
    "Changes that are refused, or held for one that is, at this moment.",
    (input) => one(counters(input)?.reconcile_objects_open),
  ),
  counter(
    "flannel_reconcile_objects_changed_total",
    "Kernel objects put or removed, by what the pass was made for: sweep and kernel-event are repairs.",
    (input) => each("cause", counters(input)?.reconcile_objects_changed_total),
  ),
  counter(
    "flannel_reconcile_objects_refused_total",
    "Changes that the kernel refused, each try counted.",
    (input) => one(counters(input)?.reconcile_objects_refused_total),
  ),
  counter(
    "flannel_reconcile_peers_planned_total",
    "Times a family of a peer was planned.",
    (input) => one(counters(input)?.reconcile_peers_planned_total),
  ),
  counter("flannel_reconcile_dumps_total", "Looks at the whole kernel.", (input) =>
    one(counters(input)?.reconcile_dumps_total),
  ),
  counter(
    "flannel_reconcile_passes_total",
    "Passes by cause and kind: of the whole kernel, or of the part that changed.",
    (input) =>
      Object.entries(counters(input)?.reconcile_passes_total ?? {}).flatMap(([cause, kinds]) =>
        Object.entries(kinds).map(([kind, value]) => ({ labels: { cause, kind }, value })),
      ),
  ),
  histogram("flannel_reconcile_pass_duration_seconds", "How long passes took.", (input) =>
    each("kind", counters(input)?.reconcile_pass_duration_seconds),
  ),
  gauge(
    "flannel_reconcile_pass_duration_seconds_max",
    "The longest pass since the start.",
    (input) => each("kind", counters(input)?.reconcile_pass_duration_seconds_max),
  ),
];

const PROCESS: readonly Row[] = [
  counter("process_cpu_seconds_total", "User and system time of the agent.", ({ process }) =>
    one(process.cpuSeconds),
  ),
  gauge("process_resident_memory_bytes", "Resident memory of the agent.", ({ process }) =>
    one(process.residentBytes),
  ),
  gauge(
    "process_start_time_seconds",
    "When the agent was started, in seconds since 1970.",
    ({ process }) => one(process.startSeconds),
  ),
];

const TABLE: readonly Row[] = [...NODE, ...STORE, ...KERNEL, ...PROCESS];

/** The body of /metrics. */
export function formatMetrics(input: MetricsInput): string {
  return formatFamilies(TABLE.map((row) => ({ ...row, samples: row.read(input) })));
}

/** The table of docs/operating.md. */
export function formatMetricsTable(): string {
  const rows = TABLE.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${help} |\n`);
  return `| metric | type | meaning |\n| --- | --- | --- |\n${rows.join("")}`;
}
