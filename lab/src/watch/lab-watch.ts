import { parseAddress } from "../addresses.ts";
import type { Chronicle } from "../chronicle.ts";
import type { FaultObserver } from "../faults/active-faults.ts";
import type { HostObserver, LabHost } from "../hosts/host.ts";
import type { FaultRequest } from "../lab.ts";
import { isExpected } from "../lab-pings.ts";
import { STORE_PREFIX } from "../observe/leases.ts";
import type { LabOptions, WatchWish } from "../options.ts";
import { memberFiles } from "../run-directory.ts";
import { factsOfLab } from "../run-facts.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../system/clock.ts";
import { hostIndex, planHost, planTopology, storeEndpoints } from "../topology.ts";
import { markOf } from "./fault-marks.ts";
import { FaultStage } from "./fault-stage.ts";
import { RunWatch } from "./run-watch.ts";
import type { PerFamily } from "./sightings.ts";

/** Pairs of hosts whose pods send each other packets during a run. */
const MAX_PAIRS = 16;
/** The supervisor is the switch: each host's link has its other end there. */
const OWN_NAMESPACE = "/proc/self/ns/net";

/** The watch of the run that a lab is made for: tells the witnesses what becomes of hosts, and what the lab itself does. */
export class LabWatch implements HostObserver, FaultObserver {
  readonly #run: RunWatch;
  readonly #faults: FaultStage;
  readonly #hosts: Set<string> = new Set();
  /** Faults that keep the lab busy. */
  readonly #busy: Set<string> = new Set();
  #finished: Promise<void> | undefined;

  constructor(deps: {
    readonly options: LabOptions;
    readonly wish: WatchWish;
    readonly runDirectory: string;
    readonly clock: Clock;
    readonly chronicle: Chronicle;
  }) {
    const { options, wish, runDirectory, clock, chronicle } = deps;
    const segmentOf = (name: string): { readonly segment: number } =>
      planHost(hostIndex(name) ?? 1, options);
    this.#run = new RunWatch({
      clock,
      now: () => clock.nowMs() - wish.beganMs,
      storeEndpoints: storeEndpoints(options.storeMembers),
      storeLogs: planTopology(options).store.map(({ name }) => memberFiles(runDirectory, name).log),
      facts: factsOfLab(options),
      runDirectory: wish.folder,
      switchNamespace: OWN_NAMESPACE,
      maxPairs: MAX_PAIRS,
      isExpected: (from, to) => isExpected(options, segmentOf(from), segmentOf(to)),
      append: (event) => {
        chronicle.add(event);
      },
    });
    this.#faults = new FaultStage((what) => {
      this.#run.stage(what);
    });
  }

  /** Wants to know what the lab itself does to its store. */
  observeStore(store: Store): void {
    store.gateway.tellWrites((key, value) => {
      this.labWrites(key, value);
    });
    this.#run.logInToStoreWith(() => store.gateway.logIn());
    this.#run.readStoreWith(() => store.gateway.range(`${STORE_PREFIX}/`));
    store.observeRollBacks({
      rollBackBegins: () => this.#run.storeGoing(),
      rollBackEnded: async () => {
        this.#run.storeRolledBack(await store.gateway.range(`${STORE_PREFIX}/`));
      },
    });
  }

  /** Begins to look. Once, when the store answers. */
  start(): void {
    this.#run.start();
  }

  /** Once; who asks again waits for the same end. */
  finish(): Promise<void> {
    this.#finished ??= this.#run.finish();
    return this.#finished;
  }

  async hostOpened(host: LabHost): Promise<void> {
    this.#hosts.add(host.name);
    await this.#run.addHost({
      name: host.name,
      publicIps: publicIpsOf(host),
      pid: host.anchor.pid,
      subnetFile: host.files.subnetFile,
      agentLog: host.files.agentLog,
    });
  }

  async hostClosing(host: string): Promise<void> {
    this.#hosts.delete(host);
    await this.#run.removeHost(host);
  }

  hostReaddressed(host: LabHost): void {
    this.#run.readdressHost(host.name, publicIpsOf(host));
  }

  agentStarted(host: string, pid: number): void {
    this.#run.agentStarted(host, pid);
    this.#faults.agentStarted(host);
  }

  agentEnded(host: string): void {
    this.#run.agentEnded(host);
  }

  podMade({ host, pid, ips }: Parameters<HostObserver["podMade"]>[0]): void {
    // A pod that was made while its host is taken away.
    if (this.#hosts.has(host)) {
      void this.#run.setPod({ host, pid, addresses: byFamily(ips) });
    }
  }

  podGoing(host: string): void {
    this.#run.removePod(host);
  }

  faultBegins(id: string, request: FaultRequest): void {
    if (markOf(request).noFloor === true) {
      this.#busy.add(id);
      this.#run.countFloor(false);
    }
    this.#faults.begins(id, request);
  }

  faultStruck(id: string): void {
    this.#faults.struck(id);
  }

  healBegins(id: string): void {
    this.#faults.healBegins(id);
  }

  faultEnded(id: string): void {
    this.#busy.delete(id);
    this.#run.countFloor(this.#busy.size === 0);
    this.#faults.ended(id);
  }

  /** The lab is about to write a key by its own hand or, without a value, to delete it. */
  labWrites(key: string, value?: string): void {
    this.#run.stage({ kind: "lab-writes", key, ...(value === undefined ? {} : { value }) });
  }
}

function publicIpsOf(host: LabHost): PerFamily {
  return Object.fromEntries(host.plan.addresses.map(({ family, address }) => [family, address]));
}

function byFamily(ips: readonly string[]): PerFamily {
  return Object.fromEntries(ips.map((ip) => [parseAddress(ip)?.family ?? "ipv4", ip]));
}
