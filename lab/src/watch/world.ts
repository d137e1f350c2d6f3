import { type Cidr, type IpFamily, networkOf, parseAddress, parseCidr } from "../addresses.ts";
import { type LeaseDetails, leaseDetails } from "../observe/lease-details.ts";
import { STORE_PREFIX } from "../observe/leases.ts";
import type {
  FileSighting,
  PerFamily,
  Sighting,
  StageSighting,
  StoreChange,
  StoreRevision,
} from "./sightings.ts";

export interface LiveLease extends LeaseDetails {
  readonly createRevision: number;
  /** Absent for a reservation. */
  readonly leaseId?: string;
  /** The IPv4 public IP that the value names. */
  readonly owner: string;
}

/** One owner's time with one subnet. */
interface Ownership {
  readonly subnet: Cidr;
  readonly owner: string;
  readonly key: string;
  readonly beginAt: number;
  endAt: number;
}

export interface Allowance {
  readonly maxGapMs: number;
  readonly pair?: { readonly from: string; readonly to: string };
  readonly host?: string;
  readonly untilEnd: boolean;
  readonly onceHeard: boolean;
  readonly beginAt: number;
  endAt: number;
}

/** What a fault did just before its end is seen by the witnesses so much later, at most. */
const FAULT_ECHO_MS = 200;
/** On a busy machine an event of a kernel is read later than that, but not as late as this. */
const LATE_ECHO_MS = 2000;

export const CONFIG_KEY: string = `${STORE_PREFIX}/config`;

/** What is known of the cluster, gathered from the sightings so far; the same sightings give the same world. */
export class World {
  readonly leases: Map<string, LiveLease> = new Map();
  /** Texts of net-conf.json, oldest first. */
  readonly configs: { readonly revision: number; readonly text: string }[] = [];
  readonly hosts: Map<string, PerFamily> = new Map();
  /** Hosts whose agent runs, and since when. */
  readonly agents: Map<string, number> = new Map();
  readonly faults: Map<string, string | undefined> = new Map();
  readonly files: Map<string, { readonly at: number; readonly text: string }> = new Map();
  readonly allowances: Map<string, Allowance> = new Map();
  readonly #ownerships: Ownership[] = [];
  /** Every address that a host ever had. */
  readonly #addresses: Map<string, Set<string>> = new Map();
  /** Of the faults that make deaf. */
  readonly #deafSince: Map<string, number> = new Map();
  readonly #endedFaults: {
    readonly host: string | undefined;
    readonly deafSince: number | undefined;
    readonly until: number;
    /** Of one that echoes: when it began, and until when its host's kernel may not have been heard of it. */
    readonly echo: { readonly beganAt: number; readonly until: number } | undefined;
  }[] = [];
  readonly #beganAt: Map<string, number> = new Map();
  /** When each host's kernel was heard last; of the one that is heard just now, before that. */
  readonly #heardAt: Map<string, number> = new Map();
  #hearing: { readonly host: string; readonly at: number } | undefined;
  /** Announced by the lab, and not seen yet. */
  readonly #labWrites: { readonly key: string; readonly value: string | undefined }[] = [];
  readonly #labChanges: WeakSet<StoreChange> = new WeakSet();
  readonly #readyAt: Map<string, number> = new Map();
  #lastChangeAt = 0;
  #now = 0;

  /** The last time at which a lease, an agent (or that it is ready), a host or a fault changed. */
  get lastChangeAt(): number {
    return this.#lastChangeAt;
  }

  see(sighting: Sighting): void {
    this.#now = Math.max(this.#now, sighting.at);
    if (this.#hearing !== undefined) {
      this.#heardAt.set(this.#hearing.host, this.#hearing.at);
    }
    this.#hearing = sighting.kind === "changes" ? sighting : undefined;
    if (sighting.kind === "blind") {
      return;
    }
    switch (sighting.witness) {
      case "store":
        if (sighting.kind === "revision") {
          this.#seeRevision(sighting);
        }
        break;
      case "file":
        this.#seeFile(sighting);
        break;
      case "stage":
        this.#seeStage(sighting);
        break;
      default:
    }
  }

  /** Whether nothing changed and no fault was on, or still excuses, for so long before a moment. */
  quietFor(ms: number, at: number): boolean {
    return (
      this.faults.size === 0 &&
      at - this.#lastChangeAt >= ms &&
      this.#endedFaults.every(({ until }) => until < at)
    );
  }

  /** Whether a fault is on, or was just now, that can keep a host from what it should do. */
  isStruck(host: string): boolean {
    const heardAt = this.#heardAt.get(host) ?? Number.NEGATIVE_INFINITY;
    const echoes = this.#endedFaults.filter(
      ({ until, echo }) =>
        this.#now <= until ||
        (echo !== undefined && heardAt < echo.beganAt && this.#now <= echo.until),
    );
    return [...this.faults.values(), ...echoes.map((fault) => fault.host)].some(
      (struck) => struck === undefined || struck === host,
    );
  }

  /**
   * Until when a host may not have heard from the store, for faults that were on at some moment between two; without end while one
   * of them is on.
   */
  deafUntil(host: string, fromAt: number, toAt: number): number {
    const active = [...this.faults].map(([fault, struck]) => ({
      host: struck,
      deafSince: this.#deafSince.get(fault),
      until: Number.POSITIVE_INFINITY,
    }));
    return [...active, ...this.#endedFaults]
      .filter((fault) => fault.host === undefined || fault.host === host)
      .filter(({ deafSince = Infinity, until }) => deafSince <= toAt && until >= fromAt)
      .reduce((latest, { until }) => Math.max(latest, until), Number.NEGATIVE_INFINITY);
  }

  /** Whether two public IPs are, or were, those of one host: a node that is renumbered stays who it is. */
  isSameHost(publicIp: string, other: string): boolean {
    return [...this.#addresses.values()].some((ips) => ips.has(publicIp) && ips.has(other));
  }

  /** Whether a host's agent runs and has written subnet.env since it was started: before that it promises nothing. */
  isReady(host: string): boolean {
    const startedAt = this.agents.get(host);
    return startedAt !== undefined && (this.files.get(host)?.at ?? -1) >= startedAt;
  }

  /** Since when a host's agent is ready; without end while it is not. */
  readyAt(host: string): number {
    return this.isReady(host)
      ? (this.#readyAt.get(host) ?? Number.POSITIVE_INFINITY)
      : Number.POSITIVE_INFINITY;
  }

  /** The host that has an address; of one that nobody has any more, who had it. */
  hostBehind(address: string): string | undefined {
    return (
      this.hostOf(address) ??
      [...this.#addresses].find(([, addresses]) => addresses.has(address))?.[0]
    );
  }

  /** The host with a public IP. */
  hostOf(publicIp: string): string | undefined {
    return [...this.hosts].find(([, ips]) => Object.values(ips).includes(publicIp))?.[0];
  }

  /** The live leases of a host. */
  leasesOf(host: string): readonly LiveLease[] {
    const publicIp = this.hosts.get(host)?.ipv4;
    return publicIp === undefined
      ? []
      : [...this.leases.values()].filter(({ owner }) => owner === publicIp);
  }

  /** The public IPs that owned an address's subnet at any moment between two. */
  ownersBetween(address: string, fromAt: number, toAt: number): readonly string[] {
    const parsed = parseAddress(address);
    return this.#ownerships
      .filter(
        ({ subnet, beginAt, endAt }) =>
          parsed !== undefined && contains(subnet, parsed) && beginAt <= toAt && endAt >= fromAt,
      )
      .map(({ owner }) => owner);
  }

  /** Whether the lab itself announced this change. */
  isLabsOwn(change: StoreChange): boolean {
    return this.#labChanges.has(change);
  }

  /** What the lab announces once it does once: whoever writes the same afterwards is not the lab. */
  #takeLabWrite(change: StoreChange): void {
    const [key, value] =
      change.kind === "put" ? [change.entry.key, change.entry.value] : [change.key, undefined];
    const index = this.#labWrites.findIndex((write) => write.key === key && write.value === value);
    if (index >= 0) {
      this.#labWrites.splice(index, 1);
      this.#labChanges.add(change);
    }
  }

  #seeFile({ at, host, text }: FileSighting): void {
    const wasReady = this.isReady(host);
    if (text === undefined) {
      this.files.delete(host);
    } else {
      this.files.set(host, { at, text });
    }
    if (this.isReady(host) !== wasReady) {
      this.#lastChangeAt = at;
      this.#readyAt.set(host, at);
    }
  }

  #seeRevision({ at, revision, changes }: StoreRevision): void {
    for (const change of changes) {
      const key = change.kind === "put" ? change.entry.key : change.key;
      this.#takeLabWrite(change);
      this.#closeOwnership(key, at);
      this.leases.delete(key);
      if (change.kind === "put" && key === CONFIG_KEY) {
        this.configs.push({ revision, text: change.entry.value });
      }
      const [details] = change.kind === "put" ? leaseDetails([change.entry]) : [];
      if (change.kind === "put" && details !== undefined) {
        this.#openLease(change.entry, details, at);
      }
    }
    this.#lastChangeAt = at;
  }

  #openLease(
    entry: { readonly key: string; readonly createRevision: number; readonly leaseId?: string },
    details: LeaseDetails,
    at: number,
  ): void {
    const owner = details.publicIps.ipv4 ?? "";
    this.leases.set(entry.key, {
      ...details,
      owner,
      createRevision: entry.createRevision,
      ...(entry.leaseId === undefined ? {} : { leaseId: entry.leaseId }),
    });
    for (const subnet of subnetsOf(details)) {
      this.#ownerships.push({
        subnet,
        owner,
        key: entry.key,
        beginAt: at,
        endAt: Number.POSITIVE_INFINITY,
      });
    }
  }

  #closeOwnership(key: string, at: number): void {
    for (const ownership of this.#ownerships) {
      if (ownership.key === key && ownership.endAt > at) {
        ownership.endAt = at;
      }
    }
  }

  #seeStage(sighting: StageSighting): void {
    const { at } = sighting;
    switch (sighting.kind) {
      case "host-joined":
        this.#joinHost(sighting.host, sighting.publicIps);
        break;
      case "host-left":
        this.hosts.delete(sighting.host);
        this.agents.delete(sighting.host);
        this.files.delete(sighting.host);
        break;
      case "agent-started":
        this.agents.set(sighting.host, at);
        break;
      case "agent-ended":
        this.agents.delete(sighting.host);
        break;
      case "fault-began":
        this.faults.set(sighting.fault, sighting.host);
        this.#beganAt.set(sighting.fault, at);
        // Told again when the lab begins to heal it.
        if (sighting.deaf === true && !this.#deafSince.has(sighting.fault)) {
          this.#deafSince.set(sighting.fault, at);
        }
        break;
      case "fault-ended":
        this.#endFault(sighting);
        break;
      case "lab-writes":
        this.#labWrites.push({ key: sighting.key, value: sighting.value });
        break;
      case "gaps-allowed":
        this.#allow(sighting);
        return;
      case "allowance-ended": {
        const allowance = this.allowances.get(sighting.allowance);
        if (allowance !== undefined) {
          allowance.endAt = at;
        }
        return;
      }
    }
    this.#lastChangeAt = at;
  }

  #joinHost(host: string, publicIps: PerFamily): void {
    this.hosts.set(host, publicIps);
    const known = this.#addresses.get(host) ?? new Set();
    this.#addresses.set(host, new Set([...known, ...Object.values(publicIps)]));
  }

  #endFault({ at, fault, resyncMs = FAULT_ECHO_MS, echo }: FaultEnded): void {
    if (this.faults.has(fault)) {
      const beganAt = this.#beganAt.get(fault) ?? at;
      this.#endedFaults.push({
        host: this.faults.get(fault),
        deafSince: this.#deafSince.get(fault),
        until: at + resyncMs,
        echo: echo === true ? { beganAt, until: at + LATE_ECHO_MS } : undefined,
      });
      this.#deafSince.delete(fault);
      this.faults.delete(fault);
    }
  }

  #allow(allowed: GapsAllowed): void {
    const { at, allowance, maxGapMs, pair, host, forMs, untilEnd = false, onceHeard } = allowed;
    this.allowances.set(allowance, {
      maxGapMs,
      ...(pair === undefined ? {} : { pair }),
      ...(host === undefined ? {} : { host }),
      untilEnd,
      onceHeard: onceHeard === true,
      beginAt: at,
      endAt: at + (forMs ?? Number.POSITIVE_INFINITY),
    });
  }
}

type FaultEnded = Extract<StageSighting, { readonly kind: "fault-ended" }>;
type GapsAllowed = Extract<StageSighting, { readonly kind: "gaps-allowed" }>;

/** The subnets of a lease as values. */
export function subnetsOf({ subnets }: Pick<LeaseDetails, "subnets">): readonly Cidr[] {
  return [subnets.ipv4, subnets.ipv6].flatMap((text) => parseCidr(text ?? "") ?? []);
}

/** Whether an address lies in a network. */
export function contains(
  network: Cidr,
  address: { readonly family: IpFamily; readonly value: bigint },
): boolean {
  return (
    network.address.family === address.family &&
    networkOf({ address, prefixLength: network.prefixLength }).address.value ===
      networkOf(network).address.value
  );
}
