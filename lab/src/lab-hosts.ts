import { LabError } from "./errors.ts";
import { type HostDeps, LabHost } from "./hosts/host.ts";
import { waitReady, type Waiting } from "./hosts/readiness.ts";
import { plugBatch, unplugBatch } from "./hosts/link-scripts.ts";
import type { HostStatus } from "./lab.ts";
import { ROUTE_FILES, routedNetworks } from "./observe/routes.ts";
import { MAX_NODES } from "./options.ts";
import { readText } from "./system/files.ts";
import { run, runChecked } from "./system/processes.ts";
import { hostIndex, planHost, type Topology } from "./topology.ts";

/** The hosts of a lab: made, looked up, taken away. */
export class LabHosts {
  readonly #deps: HostDeps;
  readonly #byName: Map<string, LabHost> = new Map();
  /** The highest number that a host ever had. */
  #highest = 0;
  /** Hosts that are being made or taken away: nobody else may touch them. */
  readonly #busy: Set<string> = new Set();

  constructor(deps: HostDeps) {
    this.#deps = deps;
  }

  get byName(): ReadonlyMap<string, LabHost> {
    return this.#byName;
  }

  /** @throws LabError "unknown-host" */
  named(name: string): LabHost {
    const host = this.#byName.get(name);
    if (host === undefined) {
      throw new LabError(
        "unknown-host",
        `there is no host "${name}"; there are ${[...this.#byName.keys()].join(", ")}`,
      );
    }
    return host;
  }

  /** So many names behind those of all hosts that ever were. @throws LabError "usage" when there are not so many */
  newNames(count: number): readonly string[] {
    if (this.#highest + count > MAX_NODES) {
      throw new LabError("usage", `${count} more are too many: n1 to n${MAX_NODES}`);
    }
    return Array.from({ length: count }, (_, index) => `n${this.#highest + index + 1}`);
  }

  /** Makes the namespaces and links of all hosts of a topology. They are not plugged in, and not yet looked up by name. */
  open(plans: Topology["hosts"]): Promise<readonly LabHost[]> {
    return Promise.all(plans.map((plan) => LabHost.open(plan, this.#deps)));
  }

  /** Plugs hosts that were opened into the switches. */
  async plug(hosts: readonly LabHost[]): Promise<void> {
    const plans = hosts.map(({ plan }) => plan);
    await runChecked(["ip", "-batch", "-"], { input: plugBatch(plans) });
    for (const host of hosts) {
      this.#highest = Math.max(this.#highest, host.plan.index);
      this.#byName.set(host.name, host);
    }
  }

  /**
   * Makes a host and starts its agent; without a name the next free one.
   * @throws LabError "usage" for what is no host's name, "wrong-state" if it is there already
   */
  async add(wanted: string | undefined): Promise<LabHost> {
    const indexes = [...this.#byName.keys(), ...this.#busy].map((name) => hostIndex(name) ?? 0);
    const name = wanted ?? `n${Math.max(0, ...indexes) + 1}`;
    const index = hostIndex(name);
    if (index === undefined || index > MAX_NODES) {
      throw new LabError("usage", `"${name}" is no host name: n1 to n${MAX_NODES}`);
    }
    if (this.#byName.has(name)) {
      throw new LabError("wrong-state", `host ${name} is there already`);
    }
    return this.#alone(name, async () => {
      const host = await LabHost.open(planHost(index, this.#deps.options), this.#deps);
      await this.plug([host]);
      await host.startAgent();
      return host;
    });
  }

  /** Takes a host away at once. @throws LabError "unknown-host" */
  async remove(name: string): Promise<LabHost> {
    const host = this.named(name);
    return this.#alone(name, async () => {
      this.#byName.delete(name);
      await host.close();
      // The port goes with the host's namespace, some time later; a host of the same name may come before.
      await run(["ip", "-batch", "-"], { input: unplugBatch(host.plan) });
      return host;
    });
  }

  /** @throws LabError "unknown-host", "timed-out" with the logs' tails */
  async waitReady(names: readonly string[] | undefined, waiting: Waiting): Promise<void> {
    const chosen = names ?? [...this.#byName.keys()];
    await waitReady(
      chosen.map((name) => this.named(name)),
      waiting,
      false,
    );
  }

  /** Of all hosts, in the order of their numbers. */
  status(): HostStatus[] {
    const hosts = [...this.#byName.values()].map((host) => this.#statusOf(host));
    return hosts.toSorted((a, b) => (hostIndex(a.name) ?? 0) - (hostIndex(b.name) ?? 0));
  }

  /** @throws LabError "unknown-host" when it went meanwhile */
  statusOf(name: string): HostStatus {
    const host = this.#byName.get(name);
    if (host === undefined) {
      throw new LabError("unknown-host", `host ${name} is gone`);
    }
    // Of this host alone: where fifty are added at once, each would look into all of them.
    return this.#statusOf(host);
  }

  #statusOf(host: LabHost): HostStatus {
    const status = host.status();
    const others = [...this.#byName.values()].filter((other) => other !== host);
    const known = others.flatMap(({ subnets }) => subnets);
    const routed = this.#routesOf(host);
    return {
      ...status,
      peers: {
        known: known.length,
        routed: known.filter((subnet) => routed.has(subnet)).length,
      },
    };
  }

  /** As the kernel's files tell: a process for each host and family would be a second of a `lab ps` of fifty. */
  #routesOf(host: LabHost): ReadonlySet<string> {
    const { families } = this.#deps.options;
    const networks = families.flatMap((family) => [
      ...routedNetworks(family, readText(`/proc/${host.anchor.pid}/${ROUTE_FILES[family]}`) ?? ""),
    ]);
    return new Set(networks);
  }

  /** Nobody else makes or takes away the host meanwhile. */
  async #alone<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (this.#busy.has(name)) {
      throw new LabError("wrong-state", `host ${name} is being changed`);
    }
    this.#busy.add(name);
    try {
      return await work();
    } finally {
      this.#busy.delete(name);
    }
  }
}
