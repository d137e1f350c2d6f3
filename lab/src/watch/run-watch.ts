import type { NetworkFactsOfRun } from "../checks/kernel-equals-leases.ts";
import { LabError, messageOf } from "../errors.ts";
import { STORE_PREFIX } from "../observe/leases.ts";
import type { StoreContent, WatchEvent } from "../lab.ts";
import { type Clock, deadlineIn } from "../system/clock.ts";
import { readText } from "../system/files.ts";
import { checksFor } from "./checks/registry.ts";
import { type EvidenceSource, freezeEvidence, PACKETS_FILE } from "./evidence.ts";
import { InvariantWatch, type NamedViolation } from "./invariant-watch.ts";
import type { DumpedHost, PerFamily, Sighting, StageSighting, WitnessName } from "./sightings.ts";
import { formatObject } from "./witnesses/kernel-values.ts";
import { ConnectionWatch } from "./witnesses/connection-watch.ts";
import { KernelWatch } from "./witnesses/kernel-watch.ts";
import { PacketRecorder } from "./witnesses/packet-recorder.ts";
import { ProbeTraffic, type ProbedPod } from "./witnesses/probe-traffic.ts";
import { StoreReader } from "./witnesses/store-reader.ts";
import { StoreLogWatch } from "./witnesses/store-log-watch.ts";
import { StoreWatch } from "./witnesses/store-watch.ts";
import { ProcessorWatch } from "./witnesses/processor-watch.ts";
import { SubnetFileWatch } from "./witnesses/subnet-file-watch.ts";

const DUMP_EVERY_MS = 1000;
/** Violations whose evidence is kept; later ones are told without. */
const MAX_FROZEN = 20;
/** Of so many invariants the first violation has the packets of its moment: each file can have 8 MB. */
const MAX_PACKET_FILES = 8;
/** Characters of a violation that its packet file repeats. */
const MAX_COMMENT = 1000;
/** At its end a run is looked at more often, until there is nothing left to wait for, but no longer than this. */
const LAST_DUMP_EVERY_MS = 50;
const LAST_LOOK_MS = 5000;

export interface WatchedHost {
  readonly name: string;
  readonly publicIps: PerFamily;
  /** A process in the host's network namespace. */
  readonly pid: number;
  readonly subnetFile: string;
  readonly agentLog: string;
}

export interface RunWatchOptions {
  readonly clock: Clock;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  /** One a member. */
  readonly storeEndpoints: readonly string[];
  /** What the members log, requests included. */
  readonly storeLogs: readonly string[];
  readonly facts: NetworkFactsOfRun;
  readonly runDirectory: string;
  /** Path of the network namespace whose packets are recorded: the one that the ports of all hosts are in. */
  readonly switchNamespace: string;
  readonly maxPairs: number;
  /** Whether two hosts' pods are to reach each other in this network. */
  readonly isExpected: (from: string, to: string) => boolean;
  /** Appends to the run's event log. */
  readonly append: (event: WatchEvent) => void;
}

/** The witnesses of a run and the checks that they feed. Runs where the hosts' namespaces are: in the supervisor. */
export class RunWatch {
  readonly #options: RunWatchOptions;
  readonly #watch: InvariantWatch;
  readonly #probes: ProbeTraffic;
  readonly #files: SubnetFileWatch;
  readonly #store: StoreWatch;
  readonly #reader: StoreReader;
  readonly #requests: StoreLogWatch;
  readonly #connections: ConnectionWatch;
  readonly #processors: ProcessorWatch;
  readonly #packets: PacketRecorder;
  /** Invariants whose first violation has packets. */
  readonly #withPackets: Set<string> = new Set();
  readonly #stop: AbortController = new AbortController();
  readonly #hosts: Map<string, { readonly host: WatchedHost; readonly kernel: KernelWatch }> =
    new Map();
  readonly #freezing: Promise<void>[] = [];
  #running: readonly Promise<void>[] = [];
  readonly #dumping: AbortController = new AbortController();
  #dumps: Promise<void> = Promise.resolve();
  #lastRound: readonly DumpedHost[] = [];
  #isOver = false;

  constructor(options: RunWatchOptions) {
    const { clock, now, facts, maxPairs, isExpected, switchNamespace } = options;
    const see = (sighting: Sighting): void => {
      this.#see(sighting);
    };
    this.#options = options;
    this.#watch = new InvariantWatch(checksFor(facts), facts);
    this.#probes = new ProbeTraffic({ clock, now, see, maxPairs, isExpected });
    this.#files = new SubnetFileWatch({ clock, now, see });
    this.#reader = new StoreReader({ clock, now, see });
    this.#requests = new StoreLogWatch({ clock, now, see, logs: options.storeLogs });
    this.#connections = new ConnectionWatch({ clock, now, see });
    this.#processors = new ProcessorWatch({ clock, now, see });
    this.#packets = new PacketRecorder({ clock, namespace: switchNamespace });
    const endpoints = options.storeEndpoints;
    this.#store = new StoreWatch({ endpoints, prefix: `${STORE_PREFIX}/`, clock, now, see });
  }

  /** Begins to look. Once. */
  start(): void {
    const { signal } = this.#stop;
    const witnesses = [
      this.#store,
      this.#reader,
      this.#files,
      this.#probes,
      this.#requests,
      this.#connections,
      this.#processors,
      this.#packets,
    ];
    this.#running = witnesses.map((witness) => witness.run(signal));
    this.#dumps = this.#dump(this.#dumping.signal);
  }

  /** @throws NetlinkError of `linux` when the host's namespace cannot be entered */
  async addHost(host: WatchedHost): Promise<void> {
    const { now } = this.#options;
    this.stage({ kind: "host-joined", host: host.name, publicIps: host.publicIps });
    const kernel = await KernelWatch.open({
      host: host.name,
      namespace: `/proc/${host.pid}/ns/net`,
      now,
      see: (sighting) => {
        this.#see(sighting);
      },
    });
    this.#hosts.set(host.name, { host, kernel });
    this.#files.add(host.name, host.subnetFile);
    this.#connections.add(host.name, host.pid);
  }

  /** To be called before the host is taken away: what goes with it is nobody's mistake. */
  async removeHost(name: string): Promise<void> {
    const watched = this.#hosts.get(name);
    this.#hosts.delete(name);
    this.#files.remove(name);
    this.#connections.remove(name);
    this.#probes.removePod(name);
    await this.#packets.learnPorts();
    await watched?.kernel.close();
    this.stage({ kind: "host-left", host: name });
  }

  agentStarted(host: string, pid: number): void {
    this.stage({ kind: "agent-started", host });
    this.#processors.add(host, pid);
  }

  agentEnded(host: string): void {
    this.#processors.remove(host);
    this.stage({ kind: "agent-ended", host });
  }

  /** A pod was made, or made anew. What cannot be entered although it is there is not seen. */
  async setPod(pod: ProbedPod): Promise<void> {
    try {
      await this.#probes.setPod(pod);
    } catch (error) {
      if (!(error instanceof LabError)) {
        throw error;
      }
      this.#tellBlind("probe", `${pod.host}: ${error.message}`);
    }
  }

  /** How to get a token that the store takes. */
  logInToStoreWith(logIn: () => Promise<string | undefined>): void {
    this.#store.logInWith(logIn);
  }

  /** How to read everything that is in the store below the prefix. */
  readStoreWith(read: () => Promise<StoreContent>): void {
    this.#reader.readWith(read);
  }

  /** Looks away from a store that is about to be another. */
  storeGoing(): Promise<void> {
    return this.#store.pause();
  }

  /** What the lab made of the store is nobody else's change. */
  storeRolledBack({ revision, entries }: StoreContent): void {
    const changes = this.#store.changesTo(entries);
    for (const change of changes) {
      const key = change.kind === "put" ? change.entry.key : change.key;
      const value = change.kind === "put" ? { value: change.entry.value } : {};
      this.stage({ kind: "lab-writes", key, ...value });
    }
    this.#store.resume(revision, changes);
  }

  /** Whether there have to be as many probes as the floor says. */
  countFloor(counts: boolean): void {
    this.#probes.countFloor(counts);
  }

  /** The host's addresses are others now. */
  readdressHost(host: string, publicIps: PerFamily): void {
    this.stage({ kind: "host-joined", host, publicIps });
  }

  removePod(host: string): void {
    this.#probes.removePod(host);
  }

  /** Tells the checks what the lab itself does. */
  stage(what: StageNews): void {
    this.#see({ witness: "stage", at: this.#options.now(), ...what });
  }

  /** Looks until there is nothing left to wait for, then appends figures and what every check says. */
  async finish(): Promise<void> {
    await this.#stopDumps();
    await this.#lookOnceMore();
    this.#stop.abort();
    await Promise.all(this.#running);
    const figures = this.#probes.finish();
    this.#isOver = true;
    await Promise.all(this.#freezing);
    await Promise.all([...this.#hosts.values()].map(({ kernel }) => kernel.close()));
    const { append, now } = this.#options;
    for (const figure of figures) {
      append({ ...figure, at: now() });
    }
    this.#watch.conclude(now()).forEach(append);
  }

  async #stopDumps(): Promise<void> {
    this.#dumping.abort();
    await this.#dumps;
  }

  async #lookOnceMore(): Promise<void> {
    const { clock } = this.#options;
    const deadline = deadlineIn(clock, LAST_LOOK_MS);
    for (;;) {
      await this.#dumpRound();
      if ((this.#store.isConnected && this.#watch.isSettled()) || deadline.passed()) {
        break;
      }
      await clock.sleep(LAST_DUMP_EVERY_MS);
    }
    if (!this.#store.isConnected) {
      this.#tellBlind("store", "the watch of the store was lost, and not there again at the end");
    }
  }

  async #dump(signal: AbortSignal): Promise<void> {
    const { clock, now } = this.#options;
    while (!signal.aborted) {
      const at = now();
      await this.#dumpRound();
      await clock.sleep(Math.max(0, at + DUMP_EVERY_MS - now()), signal);
    }
  }

  async #dumpRound(): Promise<void> {
    const { now } = this.#options;
    const at = now();
    const dumps = await Promise.all(
      [...this.#hosts].map(async ([name, { kernel }]): Promise<readonly DumpedHost[]> => {
        try {
          return [await kernel.dump()];
        } catch (error) {
          // A host that was taken away meanwhile is no blindness.
          if (this.#hosts.has(name)) {
            this.#tellBlind("dump", `${name}: ${messageOf(error)}`);
          }
          return [];
        }
      }),
    );
    this.#lastRound = dumps.flat();
    this.#see({ witness: "dump", kind: "round", at, endAt: now(), hosts: this.#lastRound });
  }

  #tellBlind(witness: WitnessName, why: string): void {
    this.#see({ witness, kind: "blind", at: this.#options.now(), why });
  }

  #see(sighting: Sighting): void {
    if (this.#isOver) {
      return;
    }
    this.#record(sighting);
    // Whoever waits for the store's watch has to know soon, and in any case after a second, how far the store is.
    if (sighting.witness === "file" || sighting.witness === "dump") {
      this.#reader.ask();
    }
    for (const violation of this.#watch.see(sighting)) {
      this.#freezing.push(this.#tell(violation, this.#freezing.length + 1));
    }
  }

  async #tell(violation: NamedViolation, number: number): Promise<void> {
    const { append, now, runDirectory } = this.#options;
    const evidence =
      number > MAX_FROZEN
        ? []
        : await freezeEvidence(runDirectory, number, violation, [
            ...this.#sources(),
            ...this.#packetSource(violation),
          ]);
    const { id, at: violatedAt, host, detail } = violation;
    append({
      type: "invariant-violated",
      at: now(),
      violatedAt,
      id,
      ...(host === undefined ? {} : { host }),
      detail,
      evidence,
    });
  }

  #sources(): readonly EvidenceSource[] {
    const { world } = this.#watch;
    const leases = [...world.leases.values()];
    const lastRound = this.#lastRound;
    return [
      {
        file: "store.json",
        read: () => JSON.stringify({ leases, configs: world.configs }, undefined, 2),
      },
      { file: "last-dump.json", read: () => JSON.stringify(lastRound, undefined, 2) },
      ...[...this.#hosts.values()].flatMap(({ host, kernel }) => [
        { file: `${host.name}.log`, read: () => readText(host.agentLog) ?? "" },
        {
          file: `${host.name}.kernel.json`,
          read: async () => JSON.stringify(await kernel.dump(), undefined, 2),
        },
      ]),
    ];
  }

  /** What was on the wire, for the first violation of an invariant. */
  #packetSource({ id, at, host, detail }: NamedViolation): readonly EvidenceSource[] {
    if (this.#withPackets.has(id) || this.#withPackets.size >= MAX_PACKET_FILES) {
      return [];
    }
    this.#withPackets.add(id);
    const { clock, now } = this.#options;
    const wallMs = Date.parse(clock.isoTime()) - (now() - at);
    const what = `${id} ${host ?? ""} ${detail}`.slice(0, MAX_COMMENT);
    const comment = `${what}: violated at ${new Date(wallMs).toISOString()}, ${(at / 1000).toFixed(3)} s after the run began`;
    const file = this.#packets.trouble === undefined ? PACKETS_FILE : "packets.txt";
    return [{ file, read: () => this.#packets.freeze(comment) }];
  }

  /** What of a sighting belongs into the event log. */
  #record(sighting: Sighting): void {
    const { append } = this.#options;
    if (sighting.witness === "kernel" && sighting.kind === "changes") {
      const { at, host } = sighting;
      for (const { kind, object } of sighting.changes) {
        append({ type: "kernel-changed", at, host, kind, object: formatObject(object) });
      }
    } else if (sighting.witness === "store" && sighting.kind === "revision") {
      this.#recordRevision(sighting);
    }
  }

  #recordRevision({
    at,
    revision,
    changes,
  }: Extract<Sighting, { readonly kind: "revision" }>): void {
    for (const change of changes) {
      const type = "lease-changed" as const;
      if (change.kind === "delete") {
        this.#options.append({ type, at, kind: "delete", key: change.key, revision });
      } else {
        const { key, leaseId } = change.entry;
        const owner = ownerIn(change.entry.value);
        this.#options.append({
          type,
          at,
          kind: "put",
          key,
          revision,
          ...(owner === undefined ? {} : { owner }),
          ...(leaseId === undefined ? {} : { leaseId }),
        });
      }
    }
  }
}

/** What the lab itself does, without its time. */
export type StageNews = DistributiveOmit<StageSighting, "witness" | "at">;

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

function ownerIn(value: string): string | undefined {
  return /"PublicIP"\s*:\s*"([^"]+)"/.exec(value)?.[1];
}
