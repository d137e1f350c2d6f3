/** What each fault does to a world, and how it is healed. */
import { SUBNETS } from "./actors.ts";
import type { Machine, SimWorld } from "./world.ts";
import type { Fault, FaultKind, Plan } from "./plan.ts";
import { readStored } from "./stored.ts";

/** Keys and values that no agent writes: none of them may change anything for anybody (invariant A13). */
const NONSENSE_KEYS = [
  "10.42.300.0-24",
  "10.42.7.0",
  "10.42.7.0-33",
  "10.42.7.3-24",
  "not a subnet",
  "10.42.7.0-24&nonsense",
  "10.42.7.0-24/extra",
  "",
  "10.42.7.0-0",
  "１０.42.7.0-24",
];
const NONSENSE_VALUES = [
  "",
  "not json",
  "null",
  "[]",
  "7",
  '{"PublicIP":7}',
  '{"PublicIP":"not an address","BackendType":"vxlan"}',
  '{"PublicIP":"fd00::1","BackendType":"vxlan"}',
  '{"PublicIP":{"a":1}}',
  `{"PublicIP":"${"9".repeat(2000)}"}`,
  "�",
  "{".repeat(500),
];

/** Those that keep a node from running or from reaching the store; for the others it has no excuse. */
const DISTURBING: ReadonlySet<FaultKind> = new Set([
  "crash",
  "stop",
  "reboot",
  "pause",
  "refuse",
  "silence",
  "store-refuse",
  "store-silence",
  "reset-connections",
  "restore",
]);

/** Injects faults into one world; each lasts until it is healed by time or by the end of its round. */
export class Faults {
  /** How often each kind struck, in a way that could be seen. */
  readonly hit: Map<string, number> = new Map();
  /** Whether the store's own doing is under way, so that checks know whose change it is. */
  operating = false;
  /** True once the network configuration was written again since the agents started. */
  configChanged = false;
  snapshot: ReadonlyMap<string, string> = new Map();
  storeDown = false;
  readonly #world: SimWorld;
  readonly #plan: Plan;
  #foreigners = 0;
  #configVariant = 0;
  #pending = new Set<() => void>();

  constructor(world: SimWorld, plan: Plan) {
    this.#world = world;
    this.#plan = plan;
  }

  /** Writes the network configuration; variant 0 is the one at the start. */
  configure(variant: number): void {
    this.operate(() => this.#world.configure(networkConfig(this.#plan, variant)));
  }

  operate(act: () => void): void {
    this.operating = true;
    try {
      act();
    } finally {
      this.operating = false;
    }
  }

  inject(fault: Fault): void {
    const node = this.#world.nodes[fault.node % this.#world.nodes.length];
    if (node === undefined) return;
    const { kind, seconds, variant } = fault;
    this.#world.note(`fault ${kind} at ${node.name}, ${seconds} s, variant ${variant}`);
    const struck = this.#strike(fault, node);
    if (!struck) return;
    this.hit.set(kind, (this.hit.get(kind) ?? 0) + 1);
    if (DISTURBING.has(kind)) this.#touch(node);
  }

  /** Ends every fault: all nodes are up and reach the store. */
  heal(): void {
    this.#world.note("heal");
    for (const heal of this.#pending) heal();
    this.#pending.clear();
    this.storeDown = false;
    for (const node of this.#world.nodes) {
      const { uplink } = node;
      uplink.lostReplies = 0;
      uplink.lostRequests = 0;
      uplink.lateRequests = 0;
      if (uplink.state !== "open") uplink.set("open");
      this.#touch(node);
      node.agent?.resume();
      // A new configuration takes effect at the next start, as with the reference.
      if (this.configChanged) node.stop();
      if (this.configChanged) this.#world.time.after(1000, () => node.start());
      else node.start();
    }
    this.configChanged = false;
  }

  #strike(fault: Fault, node: Machine): boolean {
    const { seconds, variant } = fault;
    const world = this.#world;
    switch (fault.kind) {
      case "crash":
        node.crash();
        this.#later(seconds, () => node.start());
        return true;
      case "stop":
        node.stop();
        this.#later(seconds, () => node.start());
        return true;
      case "reboot":
        node.reboot();
        this.#later(seconds, () => node.start());
        return true;
      case "pause": {
        const agent = node.agent?.running === true ? node.agent : undefined;
        agent?.pause();
        this.#later(seconds, () => {
          agent?.resume();
          this.#touch(node);
        });
        return agent !== undefined;
      }
      case "wall-jump":
        node.clockErrors.wallOffsetMs += (variant % 2 === 0 ? 1 : -1) * 25 * 3_600_000;
        return true;
      case "drift":
        node.agent?.clock.nowMs();
        node.clockErrors.rate = 0.99 + (variant % 21) / 1000;
        return true;
      case "refuse":
      case "silence":
        node.uplink.set(fault.kind === "refuse" ? "refused" : "silent");
        this.#later(seconds, () => this.#mend(node));
        return true;
      case "store-refuse":
      case "store-silence":
        this.storeDown = true;
        for (const each of world.nodes) {
          this.#touch(each);
          each.uplink.set(fault.kind === "store-refuse" ? "refused" : "silent");
        }
        this.#later(seconds, () => {
          this.storeDown = false;
          for (const each of world.nodes) this.#mend(each);
        });
        return true;
      case "lose-replies":
        node.uplink.lostReplies += 1 + (variant % 4);
        return true;
      case "lose-requests":
        node.uplink.lostRequests += 1 + (variant % 4);
        return true;
      case "late-requests":
        node.uplink.lateRequests += 1 + (variant % 3);
        return true;
      case "reset-connections":
        node.uplink.reset();
        return true;
      default:
        return this.#strikeStore(fault, node);
    }
  }

  #strikeStore(fault: Fault, node: Machine): boolean {
    const { database } = this.#world;
    const { variant } = fault;
    const entry = this.#entryOf(node);
    switch (fault.kind) {
      case "compact":
        database.compact(Math.max(database.compactRevision, database.revision - (variant % 3)));
        return true;
      case "expire-lease":
        if (entry?.leaseId === undefined) return false;
        this.operate(() => database.expireLease(entry.leaseId ?? ""));
        return true;
      case "delete-key":
        if (entry === undefined) return false;
        this.operate(() => database.delete(entry.key));
        return true;
      case "overwrite":
        if (entry === undefined) return false;
        this.operate(() =>
          database.put(entry.key, this.#foreignValue(), database.grantLease(90).leaseId),
        );
        return true;
      case "poison-key": {
        const name = NONSENSE_KEYS[variant % NONSENSE_KEYS.length] ?? "";
        const value = entry?.value ?? "";
        this.operate(() => database.put(SUBNETS + name, value));
        return true;
      }
      case "poison-value":
        if (entry === undefined) return false;
        this.operate(() =>
          database.put(entry.key, NONSENSE_VALUES[variant % NONSENSE_VALUES.length] ?? ""),
        );
        return true;
      case "reserve":
        if (entry?.leaseId === undefined) return false;
        // Equivalent to `etcdctl put KEY VALUE` without a lease: the value as it is, or what spec 03 says is enough.
        this.operate(() =>
          database.put(
            entry.key,
            variant % 2 === 0 ? entry.value : JSON.stringify({ PublicIP: node.publicIp }),
          ),
        );
        return true;
      case "change-config":
        this.#configVariant = variant % CONFIG_VARIANTS;
        this.configChanged = true;
        this.configure(this.#configVariant);
        return true;
      case "restore":
        this.configChanged = true;
        for (const each of this.#world.nodes) this.#touch(each);
        this.operate(() => this.#world.restore(this.snapshot, variant % 4 === 0));
        return true;
      case "remove-device":
        return this.#removeObject(node, variant, "link");
      default:
        return this.#removeObject(node, variant, undefined);
    }
  }

  /** Deletes one of the agent's own objects behind its back. */
  #removeObject(node: Machine, variant: number, kind: "link" | undefined): boolean {
    const devices = ["flannel.1", "flannel-v6.1"];
    const printed = node.kernel.print();
    if (kind === "link") {
      const device = devices.find((name) => printed.includes(`link ${name} `));
      if (device === undefined) return false;
      node.kernel.removeInterface(device);
      return true;
    }
    void node.kernel.dump({ links: devices, networks: [], sysctls: [] }).then(async (objects) => {
      const candidates = objects.filter(
        (object) => object.kind !== "link" && object.kind !== "sysctl",
      );
      const object = candidates[variant % Math.max(1, candidates.length)];
      if (object !== undefined) await node.kernel.apply([{ action: "remove", object }]);
    });
    return true;
  }

  #touch(node: Machine): void {
    node.troubledAtMs = this.#world.time.nowMs;
  }

  #mend(node: Machine): void {
    this.#touch(node);
    if (!this.storeDown && node.uplink.state !== "open") node.uplink.set("open");
  }

  #later(seconds: number, heal: () => void): void {
    this.#pending.add(heal);
    this.#world.time.after(seconds * 1000, () => {
      if (this.#pending.delete(heal)) heal();
    });
  }

  #entryOf(
    node: Machine,
  ): ReturnType<SimWorld["database"]["range"]>["entries"][number] | undefined {
    return this.#world.database
      .range({ prefix: SUBNETS })
      .entries.find((entry) => readStored(entry)?.owner === node.publicIp);
  }

  /** A lease of a node outside of this world, sound in every respect. */
  #foreignValue(): string {
    const number = 100 + (this.#foreigners++ % 100);
    const mac = (family: number): string => `0e:00:00:00:0${family}:${number.toString(16)}`;
    const type = this.#plan.backend;
    const data = (family: number): object =>
      type === "vxlan" ? { VNI: 1, VtepMAC: mac(family) } : {};
    const value: Record<string, unknown> = {
      PublicIP: `192.0.2.${number}`,
      PublicIPv6: this.#plan.dualStack ? `2001:db8::${number.toString(16)}` : null,
      BackendType: type,
    };
    if (type === "vxlan") {
      value["BackendData"] = data(4);
      if (this.#plan.dualStack) value["BackendV6Data"] = data(6);
    }
    return JSON.stringify(value);
  }
}

const CONFIG_VARIANTS = 4;

/** Lengths by how many subnets there shall be in a /24 of IPv4: about 4000, 15 or 7, in each family. */
const SHAPES = {
  roomy: { networkLength: 16, subnetLength: 28, networkLengthV6: 112, subnetLengthV6: 124 },
  tight: { networkLength: 24, subnetLength: 28, networkLengthV6: 120, subnetLengthV6: 124 },
  scarce: { networkLength: 25, subnetLength: 28, networkLengthV6: 121, subnetLengthV6: 124 },
};

/** The configuration of a plan: variant 1 has other lengths, variant 2 another network, variant 3 both. */
export function networkConfig(plan: Plan, variant: number): string {
  const shape = SHAPES[plan.range];
  const second = variant >= 2 ? 43 : 42;
  const longer = variant % 2;
  return JSON.stringify({
    Network: `10.${second}.0.0/${shape.networkLength}`,
    SubnetLen: shape.subnetLength + longer,
    ...(plan.dualStack
      ? {
          EnableIPv6: true,
          IPv6Network: `fd00:${second}::/${shape.networkLengthV6}`,
          IPv6SubnetLen: shape.subnetLengthV6 + longer,
        }
      : {}),
    Backend: { Type: plan.backend },
  });
}
