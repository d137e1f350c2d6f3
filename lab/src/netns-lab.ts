import type { ProbeRecord } from "./checks/no-packet-lost.ts";
import { Chronicle } from "./chronicle.ts";
import { LabError } from "./errors.ts";
import { ActiveFaults } from "./faults/active-faults.ts";
import { LabGround } from "./faults/lab-ground.ts";
import type { HostDriver } from "./hosts/host-driver.ts";
import type { LabHost } from "./hosts/host.ts";
import { waitReady } from "./hosts/readiness.ts";
import { DRIVERS } from "./hosts/registry.ts";
import { switchBatch, SYSCTL_SCRIPT, plugBatch } from "./hosts/link-scripts.ts";
import { LabHosts } from "./lab-hosts.ts";
import { LabPings } from "./lab-pings.ts";
import type {
  CallOptions,
  Done,
  ExecRequest,
  ExecResult,
  FaultReport,
  FaultRequest,
  HealReport,
  HostStatus,
  Lab,
  LabNews,
  LabStatus,
  PingMatrix,
  PingRequest,
  Progress,
  RepairReport,
  StoreContent,
  UpReport,
} from "./lab.ts";
import { parseLease, STORE_PREFIX } from "./observe/leases.ts";
import { summarizePings } from "./observe/ping-table.ts";
import type { LabOptions } from "./options.ts";
import { Store } from "./store/store.ts";
import { type Clock, type Deadline, deadlineIn } from "./system/clock.ts";
import { run, runChecked } from "./system/processes.ts";
import { planTopology, type Topology } from "./topology.ts";
import { LabWatch } from "./watch/lab-watch.ts";

const AGENT_STOP_MS = 5000;

export interface NetnsLabOptions {
  /** Of this one lab among all. */
  readonly id: string;
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
  readonly #driver: HostDriver;
  readonly #hosts: LabHosts;
  readonly #pings: LabPings;
  readonly #faults: ActiveFaults;
  readonly #chronicle: Chronicle;
  /** Undefined in a lab that no run is judged by. */
  readonly #watch: LabWatch | undefined;
  #store: Store | undefined;
  #storeVersion = "";

  constructor({ id, options, runDirectory, clock, record }: NetnsLabOptions) {
    this.#options = options;
    this.#runDirectory = runDirectory;
    this.#clock = clock;
    this.#record = record;
    this.#chronicle = new Chronicle(clock);
    const watch =
      options.watch === undefined
        ? undefined
        : new LabWatch({
            options,
            wish: options.watch,
            runDirectory,
            clock,
            chronicle: this.#chronicle,
          });
    this.#watch = watch;
    this.#driver = DRIVERS[options.driver].create({ labId: id, runDirectory, options, clock });
    this.#hosts = new LabHosts({
      driver: this.#driver,
      runDirectory,
      options,
      clock,
      chronicle: this.#chronicle,
      ...(watch === undefined ? {} : { observer: watch }),
    });
    this.#pings = new LabPings(options, clock, this.#hosts);
    this.#faults = new ActiveFaults(
      new LabGround({
        clock,
        record,
        chronicle: this.#chronicle,
        families: options.families,
        hosts: this.#hosts.byName,
        hostNamed: (name) => this.#hosts.named(name),
        store: () => this.#startedStore(),
        newNames: (count) => this.#hosts.newNames(count),
        addHost: async (host) => {
          await this.addHost({ host });
        },
        removeHost: async (host) => {
          await this.removeHost({ host });
        },
        ...(watch === undefined ? {} : { observer: watch }),
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
    const [{ opened, madeOf }] = await Promise.all([
      this.#openHosts(topology, deadline, signal),
      this.#startStore(topology, deadline, signal).then((store) => {
        this.#watch?.start();
        done("etcd", `${this.#storeVersion} at ${endpointsOf(store)}`);
      }),
    ]);
    await this.#hosts.plug(opened);
    const segments = counted(topology.segments.length, "segment");
    done("hosts", `${opened.length} on ${segments}, ${madeOf}`);
    await Promise.all(opened.map((host) => host.startAgent()));
    done("agents", `${opened.length} started`);
    await waitReady(opened, { clock: this.#clock, deadline, signal }, true);
    done("pods", `${opened.length} in their leased subnets`);
    const ping = await this.#pings.waitReachable(deadline, signal);
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
    return {
      name: this.#options.name,
      hosts: this.#hosts.status(),
      store: {
        endpoint: endpointsOf(store),
        members: store.members.map(({ name, anchor }) => ({ name, anchorPid: anchor.pid })),
        version: this.#storeVersion,
      },
    };
  }

  async addHost({ host: wanted }: { readonly host?: string }): Promise<HostStatus> {
    this.#startedStore();
    const { name } = await this.#hosts.add(wanted);
    this.#record("host added", { host: name });
    return this.#hosts.statusOf(name);
  }

  async removeHost(request: {
    readonly host: string;
    readonly keepLease?: boolean;
  }): Promise<Done> {
    const host = await this.#hosts.remove(request.host);
    this.#record("host removed", { host: host.name });
    if (request.keepLease !== true) {
      await this.#endLeasesOf(host);
    }
    return {};
  }

  async startAgent({ host: name }: { readonly host: string }): Promise<HostStatus> {
    await this.#hosts.named(name).startAgent();
    this.#record("agent started", { host: name });
    return this.#hosts.statusOf(name);
  }

  async killAgent(request: {
    readonly host: string;
    readonly signal: NodeJS.Signals;
    readonly timeoutMs?: number;
  }): Promise<HostStatus> {
    const { host: name, signal, timeoutMs = AGENT_STOP_MS } = request;
    const host = this.#hosts.named(name);
    this.#record("agent killed", { host: name, signal });
    if (!(await host.agent.end(signal, timeoutMs))) {
      throw new LabError(
        "timed-out",
        `the agent on ${name} lives on ${timeoutMs} ms after ${signal}`,
      );
    }
    return this.#hosts.statusOf(name);
  }

  async signalAgent(request: {
    readonly host: string;
    readonly signal: NodeJS.Signals;
  }): Promise<Done> {
    this.#hosts.named(request.host).agent.signal(request.signal);
    this.#record("agent signalled", request);
    return {};
  }

  async waitReady(
    request: { readonly hosts?: readonly string[]; readonly timeoutMs: number },
    call: CallOptions = {},
  ): Promise<Done> {
    const deadline = deadlineIn(this.#clock, request.timeoutMs);
    const signal = call.signal ?? new AbortController().signal;
    await this.#hosts.waitReady(request.hosts, { clock: this.#clock, deadline, signal });
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
    return this.#pings.ping(request);
  }

  async waitReachable(
    { timeoutMs }: { readonly timeoutMs: number },
    call: CallOptions = {},
  ): Promise<PingMatrix> {
    const signal = call.signal ?? new AbortController().signal;
    return this.#pings.waitReachable(deadlineIn(this.#clock, timeoutMs), signal);
  }

  async startProbe(request: { readonly from: string; readonly to: string }): Promise<Done> {
    await this.#pings.startProbe(request);
    return {};
  }

  async stopProbe({ packets }: { readonly packets: number }): Promise<readonly ProbeRecord[]> {
    return this.#pings.stopProbe(packets);
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
    this.#watch?.labWrites(key);
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

  async finishWatch(): Promise<Done> {
    await this.#watch?.finish();
    return {};
  }

  async #openHosts(
    topology: Topology,
    deadline: Deadline,
    signal: AbortSignal,
  ): Promise<{ readonly opened: readonly LabHost[]; readonly madeOf: string }> {
    const madeOf = await this.#driver.open({ deadline, signal });
    return { opened: await this.#hosts.open(topology.hosts), madeOf };
  }

  async #startStore(topology: Topology, deadline: Deadline, signal: AbortSignal): Promise<Store> {
    const store = await Store.open(topology.store, this.#runDirectory, {
      logsRequests: this.#watch !== undefined,
    });
    this.#watch?.observeStore(store);
    this.#store = store;
    await runChecked(["ip", "-batch", "-"], { input: plugBatch(topology.store) });
    await store.start(this.#clock, deadline, signal);
    this.#storeVersion = await store.gateway.version();
    if (this.#options.storeAuth) {
      await store.gateway.wantUsers();
    }
    await store.gateway.put(`${STORE_PREFIX}/config`, this.#options.networkConfigText);
    return store;
  }

  async #endLeasesOf(host: LabHost): Promise<void> {
    const publicIps = host.plan.addresses.map(({ address }) => address);
    const { entries } = await this.readStore({ prefix: `${STORE_PREFIX}/subnets/` });
    for (const lease of entries.flatMap((entry) => parseLease(entry) ?? [])) {
      if (publicIps.includes(lease.publicIp) && lease.leaseId !== undefined) {
        await this.expireLease({ key: lease.key });
      }
    }
  }

  #anchorOf({ host: name, place = "host" }: ExecRequest): {
    readonly enter: (argv: readonly string[]) => string[];
  } {
    const member = this.#startedStore().members.find((one) => one.name === name);
    if (member !== undefined) {
      return member.anchor;
    }
    const host = this.#hosts.named(name);
    const anchor = place === "pod" ? host.podAnchor : host.anchor;
    if (anchor === undefined) {
      throw new LabError("wrong-state", `host ${name} has no pod yet`);
    }
    return anchor;
  }

  #startedStore(): Store {
    if (this.#store === undefined) {
      throw new LabError("wrong-state", "the lab is not up yet");
    }
    return this.#store;
  }
}

function endpointsOf({ members }: Store): string {
  return members.map(({ endpoint }) => endpoint).join(",");
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
