import { expect, test } from "vitest";
import { parseCidr } from "../core/ip.ts";
import type { Change, KernelObject } from "./kernel.ts";
import type { MemoryKernel } from "./memory-kernel.ts";
import { Mirror } from "./mirror.ts";
import type { PassReport } from "./mirror.ts";
import { printObject } from "./print.ts";
import { BASE, MAC_9, lines, peer, wish, world } from "./sample-objects.ts";
import { Slices, finish } from "../system/slices.ts";
import { Wishes } from "./wishes.ts";

/** A kernel, what is wished of it, and what is known of it. */
class Bench {
  readonly kernel: MemoryKernel = world();
  readonly #wishes = new Wishes();
  readonly #mirror = new Mirror(this.kernel, new Slices({ nowMs: () => 0, yield: async () => {} }));

  async start(...objects: readonly KernelObject[]): Promise<void> {
    for (const object of [...BASE, ...objects]) this.#wishes.add(object);
    finish(this.#wishes.takeChanges());
    // The first pass makes the device, the second finds it.
    await this.whole();
    await this.whole();
  }

  whole(): Promise<PassReport> {
    return this.#mirror.whole(this.#wish, () => true);
  }

  part(
    added: readonly KernelObject[],
    removed: readonly KernelObject[] = [],
    tries: (change: Change) => boolean = () => true,
  ): Promise<PassReport> {
    for (const object of removed) this.#wishes.remove(object);
    for (const object of added) this.#wishes.add(object);
    const before = finish(this.#wishes.takeChanges());
    if (!this.#mirror.canSkipDump(this.#wish, before)) throw new Error("this takes a dump");
    return this.#mirror.part(this.#wish, before, tries);
  }

  canSkipDump(added: KernelObject): boolean {
    this.#wishes.add(added);
    return this.#mirror.canSkipDump(this.#wish, finish(this.#wishes.takeChanges()));
  }

  get open(): readonly KernelObject[] {
    return this.#mirror.open;
  }

  get #wish(): Parameters<Mirror["whole"]>[0] {
    return { scope: wish().scope, objects: this.#wishes.objects, additive: false };
  }
}

const [NEIGHBOUR_2, FDB_2, ROUTE_2] = peer(2);
/** Another lease of the same node: it shares the FDB entry. */
const [NEIGHBOUR_3, , ROUTE_3] = peer(3);

test("a change is written in the safe order, and nothing else is touched", async () => {
  const bench = new Bench();
  await bench.start(...peer(2));
  const { changes } = await bench.part([...peer(4, MAC_9)], [...peer(2)]);
  expect(lines(changes)).toMatchInlineSnapshot(`
    "put fdb 0e:00:00:00:00:09 dev flannel.1 dst 192.0.2.4 self permanent
    put neigh 10.42.4.0 dev flannel.1 lladdr 0e:00:00:00:00:09 PERMANENT
    put route 10.42.4.0/24 via 10.42.4.0 dev flannel.1 onlink
    remove route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink
    remove neigh 10.42.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02 PERMANENT
    remove fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2 self permanent"
  `);
});

test("D3: a peer that shares an FDB entry which was refused before gets neither neighbour nor route", async () => {
  const bench = new Bench();
  const accept = bench.kernel.refuse(({ object }) => object.kind === "fdb", "ENOMEM");
  await bench.start(...peer(2));
  const { held } = await bench.part([NEIGHBOUR_3, FDB_2, ROUTE_3]);
  expect(held.map(({ object }) => object)).toEqual([NEIGHBOUR_3, ROUTE_3]);
  expect(bench.kernel.print()).not.toContain("10.42.3.0");
  accept();
  await bench.whole();
  expect(bench.kernel.print()).toContain(printObject(ROUTE_3));
  expect(bench.open).toEqual([]);
});

test("D3: what a refused removal left keeps the FDB entry that it rests on", async () => {
  const bench = new Bench();
  await bench.start(...peer(2), NEIGHBOUR_3, FDB_2, ROUTE_3);
  const accept = bench.kernel.refuse(
    ({ action, object }) => action === "remove" && printObject(object) === printObject(ROUTE_2),
    "EBUSY",
  );
  await bench.part([], [...peer(2)]);
  const { held } = await bench.part([], [NEIGHBOUR_3, FDB_2, ROUTE_3]);
  expect(held.map(({ object }) => object)).toEqual([FDB_2]);
  for (const object of peer(2)) expect(bench.kernel.print()).toContain(printObject(object));
  accept();
  await bench.whole();
  expect(bench.kernel.print()).not.toMatch(/10\.42\.[23]\.0|^fdb/m);
});

test("D9: the kernel's own route of the last dump is not replaced", async () => {
  const bench = new Bench();
  bench.kernel.addInterface({
    name: "cni0",
    type: "bridge",
    addresses: [parseCidr("10.42.4.1/24")],
  });
  await bench.start();
  const { failures } = await bench.part([...peer(4)]);
  expect(failures.map(({ error }) => error.message)).toEqual([
    expect.stringContaining("the kernel's own route 10.42.4.0/24 dev cni0 proto kernel"),
  ]);
  expect(bench.kernel.print()).toContain("route 10.42.4.0/24 dev cni0 proto kernel");
});

test("what may not be tried counts as refused, and its exchange partner stays", async () => {
  const bench = new Bench();
  await bench.start(...peer(2));
  const report = await bench.part([...peer(4, MAC_9)], [], ({ object }) => object.kind !== "fdb");
  expect(report.waiting.map(({ object }) => object.kind)).toEqual(["fdb"]);
  expect(report.held.map(({ object }) => object.kind)).toEqual(["neighbour", "route"]);
  expect(report.failures).toEqual([]);
});

test("a device, an address or a kernel that was never read takes a dump", async () => {
  const bench = new Bench();
  expect(bench.canSkipDump(NEIGHBOUR_2)).toBe(false);
  await bench.start();
  expect(bench.canSkipDump(FDB_2)).toBe(true);
  const [device] = BASE;
  if (device?.kind !== "link") throw new Error("the first is the device");
  expect(bench.canSkipDump({ ...device, name: "flannel.2" })).toBe(false);
});
