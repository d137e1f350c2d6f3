import { parseAddress } from "./addresses.ts";
import { Chronicle } from "./chronicle.ts";
import { LabError } from "./errors.ts";
import { ActiveFaults } from "./faults/active-faults.ts";
import { LabGround } from "./faults/lab-ground.ts";
import { type HostDeps, NetnsHost } from "./hosts/netns/host.ts";
import { evidenceOf, waitReady } from "./hosts/netns/readiness.ts";
import { plugBatch, switchBatch, SYSCTL_SCRIPT, unplugBatch } from "./hosts/netns/link-scripts.ts";
import {
  type CallOptions,
  type Done,
  type ExecRequest,
  type ExecResult,
  failedPairs,
  type FaultReport,
  type FaultRequest,
  type HealReport,
  type HostStatus,
  type Lab,
  type LabNews,
  type LabStatus,
  type PingMatrix,
  type PingRequest,
  type Progress,
  type RepairReport,
  type StoreContent,
  type UpReport,
} from "./lab.ts";
import { parseLease, STORE_PREFIX } from "./observe/leases.ts";
import {
  type PingEnd,
  type PingPlan,
  pingUntilAnswered,
  planPings,
  runPings,
  sampled,
  WHOLE_MESH_HOSTS,
} from "./observe/ping-matrix.ts";
import { summarizePings } from "./observe/ping-table.ts";
import { unreachable } from "./observe/unreachable.ts";
import { parseRouteDestinations } from "./observe/routes.ts";
import { type LabOptions, MAX_NODES } from "./options.ts";
import { Etcd } from "./store/etcd.ts";
import { type Clock, type Deadline, deadlineIn } from "./system/clock.ts";
import { run, runChecked } from "./system/processes.ts";
import { hostIndex, planHost, planTopology, STORE_ENDPOINT, STORE_NAME } from "./topology.ts";

const AGENT_STOP_MS = 5000;
const PING_WAIT_SECONDS = 1;

export interface NetnsLabOptions {
  readonly options: LabOptions;
  readonly runDirectory: string;
  readonly clock: Clock;
  /** Receives each thing that happens, for the event log. */
  readonly record: (event: string, data: Readonly<Record<string, unknown>>) => void;
}

/** The lab itself: runs in the supervisor, inside the lab's own PID, mount and network namespaces. */
export class NetnsLab implements Lab {
  readonly #options: LabOptions;
  readonly #runDirectory: string;
  readonly #clock: Clock;
  readonly #record: NetnsLabOptions["record"];
  readonly #hosts: Map<string, NetnsHost> = new Map();
  /** Hosts that are being made or taken away: nobody else may touch them. */
  readonly #busy: Set<string> = new Set();
  readonly #faults: ActiveFaults;
  readonly #chronicle: Chronicle;
  readonly #hostDeps: HostDeps;
  #store: Etcd | undefined;
  #storeVersion = "";

  constructor({ options, runDirectory, clock, record }: NetnsLabOptions) {
    this.#options = options;
    this.#runDirectory = runDirectory;
    this.#clock = clock;
    this.#record = record;
    this.#chronicle = new Chronicle(clock);
    this.#hostDeps = { runDirectory, options, clock, chronicle: this.#chronicle };
    this.#faults = new ActiveFaults(
      new LabGround({
        clock,
        record,
        chronicle: this.#chronicle,
        families: options.families,
        hosts: this.#hosts,
        hostNamed: (name) => this.#host(name),
        store: () => this.#startedStore(),
      }),
    );
  }

  async up(_request: Record<string, never>, call: CallOptions = {}): Promise<UpReport> {
    if (this.#store !== undefined) {
      throw new LabError("wrong-state", "the lab is up already");
    }
    const signal = call.signal ?? new AbortController().signal;
    const deadline = deadlineIn(this.#clock, this.#options.timeoutMs);
    const startMs = this.#clock.nowMs();
    const steps: Progress[] = [];
    let stepMs = startMs;
    const done = (step: string, detail: string): void => {
      signal.throwIfAborted();
      const nowMs = this.#clock.nowMs();
      const progress = { step, detail, ms: Math.round(nowMs - stepMs) };
      stepMs = nowMs;
      steps.push(progress);
      this.#record("up", progress);
      call.onProgress?.(progress);
    };
    const topology = planTopology(this.#options);
    await runChecked(["sh", "-ec", SYSCTL_SCRIPT]);
    await runChecked(["ip", "-batch", "-"], { input: switchBatch(topology.segments) });
    const hosts = Promise.all(topology.hosts.map((plan) => NetnsHost.open(plan, this.#hostDeps)));
    const store = await Etcd.open(topology.store, this.#runDirectory);
    this.#store = store;
    await runChecked(["ip", "-batch", "-"], { input: plugBatch([topology.store]) });
    const [opened] = await Promise.all([hosts, this.#startStore(store, deadline, signal)]);
    done("etcd", `${this.#storeVersion} at ${STORE_ENDPOINT}`);
    await runChecked(["ip", "-batch", "-"], { input: plugBatch(topology.hosts) });
    for (const host of opened) {
      this.#hosts.set(host.name, host);
    }
    done("hosts", `${opened.length} on ${counted(topology.segments.length, "segment")}`);
    await Promise.all(opened.map((host) => host.startAgent()));
    done("agents", `${opened.length} started`);
    await waitReady(opened, { clock: this.#clock, deadline, signal }, true);
    done("pods", `${opened.length} in their leased subnets`);
    const ping = await this.#waitReachable(deadline, signal);
    done("ping", summarizePings(ping));
    return {
      status: await this.status(),
      steps,
      ping,
      ms: Math.round(this.#clock.nowMs() - startMs),
    };
  }

  async status(): Promise<LabStatus> {
    const store = this.#startedStore();
    const statuses = [...this.#hosts.values()].map((host) => ({ host, status: host.status() }));
    const hosts = await Promise.all(
      statuses.map(async ({ host, status }) => {
        const others = statuses.filter((other) => other.host !== host);
        const known = others.flatMap((other) => other.status.subnets);
        const routed = await this.#routesOf(host);
        return {
          ...status,
          peers: {
            known: known.length,
            routed: known.filter((subnet) => routed.has(subnet)).length,
          },
        };
      }),
    );
    hosts.sort((a, b) => (hostIndex(a.name) ?? 0) - (hostIndex(b.name) ?? 0));
    return {
      name: this.#options.name,
      hosts,
      store: { endpoint: STORE_ENDPOINT, anchorPid: store.anchor.pid, version: this.#storeVersion },
    };
  }

  async addHost({ host: wanted }: { readonly host?: string }): Promise<HostStatus> {
    this.#startedStore();
    const indexes = [...this.#hosts.keys(), ...this.#busy].map((name) => hostIndex(name) ?? 0);
    const name = wanted ?? `n${Math.max(0, ...indexes) + 1}`;
    const index = hostIndex(name);
    if (index === undefined || index > MAX_NODES) {
      throw new LabError("usage", `"${name}" is no host name: n1 to n${MAX_NODES}`);
    }
    if (this.#hosts.has(name)) {
      throw new LabError("wrong-state", `host ${name} is there already`);
    }
    await this.#alone(name, async () => {
      const plan = planHost(index, this.#options);
      const host = await NetnsHost.open(plan, this.#hostDeps);
      await runChecked(["ip", "-batch", "-"], { input: plugBatch([plan]) });
      this.#hosts.set(name, host);
      await host.startAgent();
    });
    this.#record("host added", { host: name });
    return this.#statusOf(name);
  }

  async removeHost(request: {
    readonly host: string;
    readonly keepLease?: boolean;
  }): Promise<Done> {
    const host = this.#host(request.host);
    await this.#alone(host.name, async () => {
      this.#hosts.delete(host.name);
      await host.close();
      // The port goes with the host's namespace, some time later; a host of the same name may come before.
      await run(["ip", "-batch", "-"], { input: unplugBatch(host.plan) });
    });
    this.#record("host removed", { host: host.name });
    if (request.keepLease !== true) {
      await this.#endLeasesOf(host);
    }
    return {};
  }

  async startAgent({ host: name }: { readonly host: string }): Promise<HostStatus> {
    await this.#host(name).startAgent();
    this.#record("agent started", { host: name });
    return this.#statusOf(name);
  }

  async killAgent(request: {
    readonly host: string;
    readonly signal: NodeJS.Signals;
    readonly timeoutMs?: number;
  }): Promise<HostStatus> {
    const { host: name, signal, timeoutMs = AGENT_STOP_MS } = request;
    const host = this.#host(name);
    this.#record("agent killed", { host: name, signal });
    if (!(await host.agent.end(signal, timeoutMs))) {
      throw new LabError(
        "timed-out",
        `the agent on ${name} lives on ${timeoutMs} ms after ${signal}`,
      );
    }
    return this.#statusOf(name);
  }

  async signalAgent(request: {
    readonly host: string;
    readonly signal: NodeJS.Signals;
  }): Promise<Done> {
    this.#host(request.host).agent.signal(request.signal);
    this.#record("agent signalled", request);
    return {};
  }

  async waitReady(
    request: { readonly hosts?: readonly string[]; readonly timeoutMs: number },
    call: CallOptions = {},
  ): Promise<Done> {
    const names = request.hosts ?? [...this.#hosts.keys()];
    const hosts = names.map((name) => this.#host(name));
    const deadline = deadlineIn(this.#clock, request.timeoutMs);
    const signal = call.signal ?? new AbortController().signal;
    await waitReady(hosts, { clock: this.#clock, deadline, signal }, false);
    return {};
  }

  async exec(request: ExecRequest, call: CallOptions = {}): Promise<ExecResult> {
    const anchor = this.#anchorOf(request);
    return run(anchor.enter(request.argv), {
      ...(request.input === undefined ? {} : { input: request.input }),
      ...(request.timeoutMs === undefined ? {} : { timeoutMs: request.timeoutMs }),
      ...(call.signal === undefined ? {} : { stopSignal: call.signal }),
    });
  }

  async ping(request: PingRequest): Promise<PingMatrix> {
    const ends = this.#pingEnds();
    const families = request.families ?? this.#options.families;
    const plans = planPings(ends, families, (from, to) => this.#isExpected(from, to));
    const effort = { count: request.count ?? 1, waitSeconds: PING_WAIT_SECONDS };
    return { hosts: ends.map(({ name }) => name), pairs: await runPings(plans, effort) };
  }

  async waitReachable(
    { timeoutMs }: { readonly timeoutMs: number },
    call: CallOptions = {},
  ): Promise<PingMatrix> {
    const signal = call.signal ?? new AbortController().signal;
    return this.#waitReachable(deadlineIn(this.#clock, timeoutMs), signal);
  }

  async readStore({ prefix }: { readonly prefix: string }): Promise<StoreContent> {
    return this.#startedStore().gateway.range(prefix);
  }

  async writeStore(request: { readonly key: string; readonly value: string }): Promise<Done> {
    await this.#startedStore().gateway.put(request.key, request.value);
    this.#record("store written", request);
    return {};
  }

  async removeFromStore({ key }: { readonly key: string }): Promise<Done> {
    await this.#startedStore().gateway.remove(key);
    this.#record("store key removed", { key });
    return {};
  }

  async expireLease({ key }: { readonly key: string }): Promise<Done> {
    const { entries } = await this.#startedStore().gateway.range(key);
    const entry = entries.find((candidate) => candidate.key === key);
    if (entry?.leaseId === undefined) {
      const why = entry === undefined ? "is not in the store" : "has no etcd lease";
      throw new LabError("wrong-state", `${key} ${why}`);
    }
    await this.#startedStore().gateway.revoke(entry.leaseId);
    this.#record("lease expired", { key });
    return {};
  }

  async injectFault(request: FaultRequest): Promise<FaultReport> {
    return this.#faults.inject(request);
  }

  async listFaults(request: { readonly look?: boolean }): Promise<readonly FaultReport[]> {
    return this.#faults.list(request);
  }

  async healFaults({ id }: { readonly id?: string }): Promise<readonly HealReport[]> {
    return this.#faults.heal(id);
  }

  async readRepairs(): Promise<RepairReport> {
    return this.#faults.repairs();
  }

  async readNews({ after }: { readonly after: number }, call: CallOptions = {}): Promise<LabNews> {
    return this.#chronicle.read(after, call.signal ?? new AbortController().signal);
  }

  async #startStore(store: Etcd, deadline: Deadline, signal: AbortSignal): Promise<void> {
    await store.start(this.#clock, deadline, signal);
    this.#storeVersion = await store.gateway.version();
    await store.gateway.put(`${STORE_PREFIX}/config`, this.#options.networkConfigText);
  }

  async #waitReachable(deadline: Deadline, signal: AbortSignal): Promise<PingMatrix> {
    const makePlans = (): PingPlan[] =>
      sampled(
        planPings(this.#pingEnds(), this.#options.families, (from, to) =>
          this.#isExpected(from, to),
        ),
      );
    const pairs = await pingUntilAnswered(makePlans, this.#clock, deadline, signal);
    const hosts = this.#pingEnds().map(({ name }) => name);
    const matrix = { hosts, pairs, isSample: hosts.length > WHOLE_MESH_HOSTS };
    const [first] = failedPairs(matrix);
    if (first !== undefined) {
      throw unreachable(matrix, evidenceOf(this.#host(first.from)));
    }
    return matrix;
  }

  async #endLeasesOf(host: NetnsHost): Promise<void> {
    const publicIps = host.plan.addresses.map(({ address }) => address);
    const { entries } = await this.readStore({ prefix: `${STORE_PREFIX}/subnets/` });
    for (const lease of entries.flatMap((entry) => parseLease(entry) ?? [])) {
      if (publicIps.includes(lease.publicIp) && lease.leaseId !== undefined) {
        await this.expireLease({ key: lease.key });
      }
    }
  }

  #pingEnds(): PingEnd[] {
    return [...this.#hosts.values()]
      .toSorted((a, b) => a.plan.index - b.plan.index)
      .map((host) => ({
        name: host.name,
        segment: host.plan.segment,
        addresses: host.podIps.flatMap((address) => {
          const family = parseAddress(address)?.family;
          return family === undefined ? [] : [{ family, address }];
        }),
        enter: host.podAnchor?.enter,
      }));
  }

  #isExpected(from: PingEnd, to: PingEnd): boolean {
    const { expect } = this.#options;
    return expect === "all" || (expect === "same-segment" && from.segment === to.segment);
  }

  async #routesOf(host: NetnsHost): Promise<Set<string>> {
    const texts = await Promise.all(
      this.#options.families.map((family) =>
        run(host.anchor.enter(["ip", family === "ipv4" ? "-4" : "-6", "-json", "route", "show"])),
      ),
    );
    return new Set(texts.flatMap(({ stdout }) => [...parseRouteDestinations(stdout)]));
  }

  async #statusOf(name: string): Promise<HostStatus> {
    const { hosts } = await this.status();
    const found = hosts.find((host) => host.name === name);
    if (found === undefined) {
      throw new LabError("unknown-host", `host ${name} is gone`);
    }
    return found;
  }

  /** Nobody else makes or takes away the host meanwhile. */
  async #alone(name: string, work: () => Promise<void>): Promise<void> {
    if (this.#busy.has(name)) {
      throw new LabError("wrong-state", `host ${name} is being changed`);
    }
    this.#busy.add(name);
    try {
      await work();
    } finally {
      this.#busy.delete(name);
    }
  }

  #anchorOf({ host: name, place = "host" }: ExecRequest): {
    readonly enter: (argv: readonly string[]) => string[];
  } {
    if (name === STORE_NAME) {
      return this.#startedStore().anchor;
    }
    const host = this.#host(name);
    const anchor = place === "pod" ? host.podAnchor : host.anchor;
    if (anchor === undefined) {
      throw new LabError("wrong-state", `host ${name} has no pod yet`);
    }
    return anchor;
  }

  #host(name: string): NetnsHost {
    const host = this.#hosts.get(name);
    if (host === undefined) {
      throw new LabError(
        "unknown-host",
        `there is no host "${name}"; there are ${[...this.#hosts.keys()].join(", ")}`,
      );
    }
    return host;
  }

  #startedStore(): Etcd {
    if (this.#store === undefined) {
      throw new LabError("wrong-state", "the lab is not up yet");
    }
    return this.#store;
  }
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
