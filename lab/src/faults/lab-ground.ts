import type { IpFamily } from "../addresses.ts";
import type { Chronicle } from "../chronicle.ts";
import { LabError } from "../errors.ts";
import type { LabHost } from "../hosts/host.ts";
import type { KernelChange, KernelWitness } from "../observe/kernel-witness.ts";
import { leaseDetails } from "../observe/lease-details.ts";
import { STORE_PREFIX } from "../observe/leases.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../system/clock.ts";
import type { FaultGround, FaultObserver } from "./active-faults.ts";
import type { FaultRequest } from "../lab.ts";
import type { FaultSite } from "./fault.ts";

/** Up to so many hosts are all watched from the first fault on; in a larger lab only the one that is struck. */
const WATCHED_HOSTS = 16;

interface LabParts {
  readonly clock: Clock;
  readonly record: FaultGround["record"];
  readonly chronicle: Chronicle;
  readonly families: readonly IpFamily[];
  readonly hosts: ReadonlyMap<string, LabHost>;
  /** @throws LabError "unknown-host" */
  readonly hostNamed: (name: string) => LabHost;
  readonly newNames: FaultSite["newNames"];
  readonly addHost: FaultSite["addHost"];
  readonly removeHost: FaultSite["removeHost"];
  /** @throws LabError "wrong-state" before the lab is up */
  readonly store: () => Store;
  readonly observer?: FaultObserver;
}

/** Faults in a lab of namespaces. */
export class LabGround implements FaultGround {
  readonly clock: Clock;
  readonly record: FaultGround["record"];
  readonly chronicle: Chronicle;
  readonly observer: FaultObserver | undefined;
  readonly #parts: LabParts;
  /** Opened ones, for those who may not wait. */
  readonly #witnesses: Map<LabHost, KernelWitness> = new Map();

  constructor(parts: LabParts) {
    this.clock = parts.clock;
    this.record = parts.record;
    this.chronicle = parts.chronicle;
    this.observer = parts.observer;
    this.#parts = parts;
  }

  site({ host, fault }: FaultRequest, id: string, sinceMs: number): FaultSite {
    const { clock, families, hosts, hostNamed, store, newNames, addHost, removeHost } = this.#parts;
    const struck = (): LabHost => {
      if (host === undefined) {
        throw new LabError("usage", `fault ${fault} strikes no host`);
      }
      return hostNamed(host);
    };
    return {
      clock,
      families,
      id,
      get store() {
        return store();
      },
      host: struck,
      hostNamed,
      newNames,
      addHost,
      removeHost,
      otherHosts: () => [...hosts.values()].filter(({ name }) => name !== host),
      leases: async () => {
        const { entries } = await store().gateway.range(`${STORE_PREFIX}/subnets/`);
        return leaseDetails(entries);
      },
      kernelChanges: (): readonly KernelChange[] =>
        this.#witnesses.get(struck())?.changesSince(sinceMs) ?? [],
    };
  }

  async witnesses(host: string | undefined): Promise<readonly KernelWitness[]> {
    const { hosts, hostNamed } = this.#parts;
    const struck = host === undefined ? [] : [hostNamed(host)];
    const watched = hosts.size <= WATCHED_HOSTS ? [...hosts.values()] : struck;
    return Promise.all(
      watched.map(async (one) => {
        const witness = await one.witness();
        this.#witnesses.set(one, witness);
        return witness;
      }),
    );
  }
}
