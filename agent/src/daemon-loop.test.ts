import { expect, test } from "vitest";
import { Cluster } from "./backends/memory-cluster.ts";
import * as registry from "./backends/registry.ts";
import type { BackendDefinition } from "./backends/backend.ts";
import { parseCidr, parseIp } from "./core/ip.ts";
import type { Lease } from "./core/lease.ts";
import { NO_PREDECESSOR, openReconciler } from "./daemon-loop.ts";
import type { Reconciler } from "./daemon-loop.ts";
import type { Change, Kernel, KernelEvent, Route } from "./kernel/kernel.ts";
import type { MemoryKernel } from "./kernel/memory-kernel.ts";
import { ManualClock } from "./system/manual-clock.ts";
import { MemoryLog } from "./system/memory-log.ts";

interface Bench extends AsyncDisposable {
  readonly kernel: MemoryKernel;
  readonly clock: ManualClock;
  readonly log: MemoryLog;
  readonly reconciler: Reconciler;
  readonly peers: readonly Lease[];
  /** The loop of the next agent on the same kernel. */
  restart(): Reconciler;
}

/** Three peers programmed, and the loop running since three seconds. */
async function bench({
  definition = registry.vxlan,
  options = {},
  tells = true,
  nexthopsFrom = 512,
  applyMs = 0,
}: {
  readonly definition?: BackendDefinition;
  /** Of the backend. */
  readonly options?: object;
  readonly tells?: boolean;
  readonly nexthopsFrom?: number;
  /** What the kernel takes for each batch of changes, once the loop runs. */
  readonly applyMs?: number;
} = {}): Promise<Bench> {
  const cluster = new Cluster(definition, [4], options);
  const { kernel, backend, own } = await cluster.node();
  const clock = new ManualClock();
  const log = new MemoryLog();
  let isRunning = false;
  const heard: Kernel = Object.assign(Object.create(kernel) as Kernel, {
    dump: kernel.dump.bind(kernel),
    apply: async (changes: readonly Change[]) => {
      if (isRunning) await clock.sleep(applyMs, new AbortController().signal);
      return kernel.apply(changes);
    },
    routesTo: kernel.routesTo.bind(kernel),
    hasNexthops: kernel.hasNexthops.bind(kernel),
    watch: tells ? kernel.watch.bind(kernel) : silence,
  });
  const parts = {
    environment: { backend, look: () => Promise.resolve(false) },
    kernel: heard,
    clock,
    log,
    own: () => own,
    predecessor: NO_PREDECESSOR,
    nexthopsFrom,
  };
  const reconciler = openReconciler(parts);
  const peers = await cluster.leases(2, 3, 4);
  reconciler.setPeers(peers);
  await reconciler.pass();
  isRunning = applyMs > 0;
  const stop = new AbortController();
  const running = reconciler.run(stop.signal).catch((error: unknown) => error);
  await clock.advance(3_000);
  return {
    kernel,
    clock,
    log,
    reconciler,
    peers,
    restart: () => openReconciler(parts),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("over"));
      // A kernel that takes its time is waited for.
      await clock.advance(applyMs * 10);
      await running;
    },
  };
}

test("with many peers routes go over nexthop objects, one by one too, and a restart moves none", async () => {
  await using bed = await bench({ nexthopsFrom: 1, tells: false });
  const routesOf = (): readonly string[] =>
    bed.kernel
      .print()
      .split("\n")
      .filter((line) => /^(nexthop|route 10\.42)/.test(line));
  expect(routesOf()).toMatchInlineSnapshot(`
    [
      "nexthop id 116000001 via 10.42.3.0 dev flannel.1 onlink proto 116",
      "nexthop id 116000002 via 10.42.4.0 dev flannel.1 onlink proto 116",
      "route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink",
      "route 10.42.3.0/24 nhid 116000001 via 10.42.3.0 dev flannel.1 onlink",
      "route 10.42.4.0/24 nhid 116000002 via 10.42.4.0 dev flannel.1 onlink",
    ]
  `);
  bed.reconciler.setPeers(bed.peers.slice(0, 2));
  await bed.clock.advance(1_000);
  expect(routesOf()).toMatchInlineSnapshot(`
    [
      "nexthop id 116000001 via 10.42.3.0 dev flannel.1 onlink proto 116",
      "route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink",
      "route 10.42.3.0/24 nhid 116000001 via 10.42.3.0 dev flannel.1 onlink",
    ]
  `);
  expect(bed.reconciler.counters().reconcile_passes_total["lease-change"].part).toBe(1);
  const before = bed.kernel.print();
  const restarted = bed.restart();
  restarted.setPeers(bed.peers.slice(0, 2));
  await restarted.pass();
  expect(bed.kernel.print()).toBe(before);
});

async function* silence(signal: AbortSignal): AsyncGenerator<KernelEvent> {
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  yield* [];
}

test.each(Object.values(registry))(
  "$type, D11: a deleted route is back within a second",
  async (definition) => {
    await using bed = await bench({ definition });
    const before = bed.kernel.print();
    bed.kernel.setUp("eth0", false);
    bed.kernel.setUp("eth0", true);
    await bed.clock.advance(1_000);
    expect(bed.kernel.print()).toBe(before);
    const routes = await bed.kernel.dump({
      links: [],
      networks: [parseCidr("10.42.0.0/16")],
      sysctls: [],
    });
    await bed.kernel.apply(routes.map((object) => ({ action: "remove", object })));
    expect(bed.kernel.print()).not.toBe(before);
    await bed.clock.advance(1_000);
    expect(bed.kernel.print()).toBe(before);
    expect(
      bed.reconciler.counters().reconcile_objects_changed_total["kernel-event"],
    ).toBeGreaterThanOrEqual(routes.length);
  },
);

test("D1: DirectRouting is decided anew within a second when the route to a peer's public IP changes", async () => {
  await using bed = await bench({ options: { DirectRouting: true } });
  const direct = "route 10.42.2.0/24 via 192.0.2.2 dev eth0";
  const tunnel = "route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink";
  expect(bed.kernel.print()).toContain(direct);
  const detour: Route = {
    kind: "route",
    destination: parseCidr("192.0.2.2/32"),
    gateway: parseIp("192.0.2.254"),
    link: "eth0",
    onlink: false,
    protocol: 4,
  };
  await bed.kernel.apply([{ action: "put", object: detour }]);
  await bed.clock.advance(1_000);
  expect(bed.kernel.print()).toContain(tunnel);
  await bed.kernel.apply([{ action: "remove", object: detour }]);
  await bed.clock.advance(1_000);
  expect(bed.kernel.print()).toContain(direct);
  const passes = bed.reconciler.counters().reconcile_passes_total["kernel-event"].whole;
  const elsewhere = { ...detour, destination: parseCidr("203.0.113.0/24") };
  await bed.kernel.apply([{ action: "put", object: elsewhere }]);
  await bed.clock.advance(1_000);
  expect(bed.reconciler.counters().reconcile_passes_total["kernel-event"].whole).toBe(passes);
});

test("D11: what no event told of is back within ten seconds, though another object is refused for ever", async () => {
  await using bed = await bench({ tells: false });
  const refused = bed.peers[0]?.subnets[4];
  const before = bed.kernel.print();
  const objects = await bed.kernel.dump({ links: ["flannel.1"], networks: [], sysctls: [] });
  const routes = objects.filter((object) => object.kind === "route");
  await bed.kernel.apply(routes.map((object) => ({ action: "remove", object })));
  bed.kernel.refuse(
    ({ object }) => object.kind === "route" && object.destination === refused,
    "ENOMEM",
  );
  await bed.clock.advance(10_000);
  const missing = before.split("\n").filter((line) => !bed.kernel.print().includes(line));
  expect(missing).toEqual([expect.stringContaining(`route ${refused} `)]);
  const { reconcile_objects_open: open, reconcile_objects_changed_total: changed } =
    bed.reconciler.counters();
  expect({ open, swept: changed.sweep }).toEqual({ open: 1, swept: 2 });
});

test("a storm of kernel events makes no more than two looks a second", async () => {
  await using bed = await bench();
  const before = bed.reconciler.counters().reconcile_dumps_total;
  for (let count = 0; count < 1_000; count++) {
    bed.kernel.overrun();
    await bed.clock.advance(10);
  }
  const looks = bed.reconciler.counters().reconcile_dumps_total - before;
  expect(looks).toBeGreaterThan(5);
  expect(looks).toBeLessThanOrEqual(20);
});

test("a peer's change is written without a look at the kernel, at once, and said with its cause", async () => {
  await using bed = await bench({ tells: false });
  const before = bed.reconciler.counters();
  bed.reconciler.setPeers(bed.peers.slice(1));
  await bed.clock.advance(0);
  const after = bed.reconciler.counters();
  expect(after.reconcile_dumps_total).toBe(before.reconcile_dumps_total);
  expect(after.reconcile_objects_changed_total["lease-change"]).toBe(3);
  expect(after.reconcile_passes_total["lease-change"]).toEqual({ whole: 0, part: 1 });
  expect(after.reconcile_objects_wanted).toBe(before.reconcile_objects_wanted - 3);
  expect(bed.log.lines.at(-1)).toEqual({
    level: "info",
    data: { cause: "lease-change", changes: 3, refused: 0 },
    message: "reconciled",
  });
});

test("D4: of many changes the first is written at once, the others together within 150 ms", async () => {
  await using bed = await bench({ tells: false, applyMs: 10 });
  const passes = (): number =>
    bed.reconciler.counters().reconcile_passes_total["lease-change"].part;
  const [first, second, third] = bed.peers;
  if (first === undefined || second === undefined || third === undefined)
    throw new Error("there are three peers");
  bed.reconciler.setPeers([second, third]);
  // Routes, neighbours and FDB entries go one after the other.
  await bed.clock.advance(30);
  expect(passes()).toBe(1);
  expect(bed.kernel.print()).not.toContain(`route ${first.subnets[4]} via`);
  for (const peers of [[third], [second, third], bed.peers, [first]]) {
    bed.reconciler.setPeers(peers);
    await bed.clock.advance(25);
  }
  expect(passes()).toBe(1);
  await bed.clock.advance(100);
  expect(passes()).toBe(2);
  expect(bed.kernel.print()).toContain(`route ${first.subnets[4]} via`);
  expect(bed.kernel.print()).not.toContain(`route ${third.subnets[4]} via`);
  await bed.clock.advance(1_000);
  bed.reconciler.setPeers(bed.peers);
  await bed.clock.advance(30);
  expect(passes()).toBe(3);
  expect(bed.kernel.print()).toContain(`route ${third.subnets[4]} via`);
});

test("a refused object is tried less and less often, and at once when its wish changes", async () => {
  await using bed = await bench({ tells: false });
  const tries: number[] = [];
  const subnet = bed.peers[0]?.subnets[4];
  bed.kernel.refuse(({ object, action }) => {
    if (object.kind !== "route" || object.destination !== subnet || action === "put") return false;
    tries.push(bed.clock.nowMs());
    return true;
  }, "EBUSY");
  bed.reconciler.setPeers(bed.peers.slice(1));
  const beganMs = bed.clock.nowMs();
  await bed.clock.advance(30_000);
  // Once without a dump, once with, then by its own back-off; sweeps come between and try nothing that is not due.
  expect(tries.map((ms) => ms - beganMs)).toEqual([0, 100, 1_100, 3_100, 7_100, 15_100, 25_100]);
  bed.reconciler.setPeers(bed.peers);
  await bed.clock.advance(0);
  expect(bed.reconciler.counters().reconcile_objects_open).toBe(0);
});

test("whoever was held for another peer's refused object goes on as soon as that is there", async () => {
  await using bed = await bench({ tells: false });
  const [one, , ...others] = bed.peers;
  if (one === undefined) throw new Error("there are three peers");
  bed.reconciler.setPeers(others);
  await bed.clock.advance(0);
  const accept = bed.kernel.refuse(({ object }) => object.kind === "fdb", "ENOMEM");
  const twin: Lease = { ...one, subnets: { 4: parseCidr("10.42.77.0/24") } };
  bed.reconciler.setPeers([one, twin, ...others]);
  await bed.clock.advance(9_000);
  expect(bed.kernel.print()).not.toMatch(/10\.42\.(2|77)\.0/);
  accept();
  // Their FDB entry is wished for anew, at another address: the one that had been refused is tried at once.
  const moved = [one, twin].map((lease) => ({ ...lease, publicIps: { 4: parseIp("192.0.2.99") } }));
  bed.reconciler.setPeers([...moved.slice(0, 1), twin, ...others]);
  bed.reconciler.setPeers([...moved, ...others]);
  await bed.clock.advance(0);
  for (const subnet of ["10.42.2.0/24", "10.42.77.0/24"])
    expect(bed.kernel.print()).toContain(`route ${subnet} via`);
  expect(bed.reconciler.counters().reconcile_objects_open).toBe(0);
});
