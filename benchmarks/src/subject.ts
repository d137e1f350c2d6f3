/**
 * What is measured, in a process and a network namespace of its own: `node subject.ts programming|sweep|one-peer|memory COUNT RUNS YARDSTICK`.
 * Prints one JSON document. Started by main.ts.
 */
import { execFileSync } from "node:child_process";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { NetlinkKernel } from "agent/kernel/netlink-kernel.ts";
import type { Lease } from "agent/core/lease.ts";
import { keepHeapSmall } from "agent/system/small-heap.ts";
import {
  DEVICE,
  type Host,
  makeDevice,
  makeExternalInterface,
  openHost,
  removeDevice,
} from "./host.ts";
import { PROFILED } from "./figures.ts";
import { peer, peers } from "./peers.ts";
import { type Spent, profiled } from "./profile.ts";

/** Figures by name, one a run; names of processor time begin with `PROFILED`. */
type Measured = Record<string, number[]>;

const NS_PER_MS = 1e6;
/** Longer than passes over lease changes are apart. */
const QUIET_MS = 300;

const [bench = "", countText = "", runsText = "", yardstick = ""] = process.argv.slice(2);
const count = Number(countText);
const runs = Number(runsText);

// As the agent does.
keepHeapSmall();
makeExternalInterface();
await using kernel = NetlinkKernel.open();
const measured = await measure();
process.stdout.write(`${JSON.stringify(measured)}\n`);

function measure(): Promise<Measured> {
  switch (bench) {
    case "programming":
      return programming();
    case "sweep":
      return sweep();
    case "one-peer":
      return onePeer();
    case "memory":
      return memory();
    default:
      throw new Error(`no bench ${bench}`);
  }
}

/** Peers into a kernel that has only the device. */
async function programming(): Promise<Measured> {
  const found: Measured = { ours: [], block: [], batches: [], singly: [] };
  for (let run = 0; run < runs; run++) {
    found["batches"]?.push(byYardstick("batch", "nexthop"));
    found["singly"]?.push(byYardstick("single", "plain"));
    const { ms, blockMs } = await timed(await ready());
    found["ours"]?.push(ms);
    found["block"]?.push(blockMs);
    removeDevice();
  }
  for (let run = 0; run < runs; run++) {
    addProfile(found, await profiled(await ready()));
    removeDevice();
  }
  return found;
}

/** A host that has its device and has heard of its peers, whose pass is still to come. */
async function ready(): Promise<() => Promise<unknown>> {
  const { reconciler } = await openHost(kernel);
  await reconciler.pass();
  reconciler.setPeers(peers(count));
  return () => reconciler.pass();
}

function addProfile(found: Measured, spent: Spent): void {
  for (const [name, ms] of Object.entries(spent)) (found[PROFILED + name] ??= []).push(ms);
}

/** @returns milliseconds, by its own clock */
function byYardstick(mode: string, form: string): number {
  makeDevice();
  const text = execFileSync(yardstick, [mode, form, String(count), DEVICE], { encoding: "utf8" });
  removeDevice();
  const { ms } = JSON.parse(text) as { readonly ms: number };
  return ms;
}

/** A pass that finds everything as it should be, beside the dump that it rests on. */
async function sweep(): Promise<Measured> {
  const { reconciler, backend } = await programmed();
  const { scope } = backend.planner;
  const found: Measured = { ours: [], block: [], dump: [] };
  for (let run = 0; run < runs; run++) {
    found["dump"]?.push((await timed(() => kernel.dump(scope))).ms);
    const { ms, blockMs } = await timed(() => reconciler.pass());
    found["ours"]?.push(ms);
    found["block"]?.push(blockMs);
  }
  for (let run = 0; run < runs; run++) addProfile(found, await profiled(() => reconciler.pass()));
  return found;
}

/** The loop runs; each run one peer comes back with another hardware address. */
async function onePeer(): Promise<Measured> {
  const all = [...peers(count)];
  const { reconciler } = await programmed([...all]);
  const stop = new AbortController();
  const running = reconciler.run(stop.signal).catch((error: unknown) => error);
  const found: Measured = { ours: [], block: [], changes: [] };
  for (let run = 0; run < runs; run++) {
    all[run] = peer(run + 1, run + 1);
    // A change just behind another one waits for company; and what the kernel told of the last one is read.
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    const before = changedBy(reconciler);
    const { ms, blockMs } = await timed(async () => {
      reconciler.setPeers([...all]);
      // By whichever pass comes first.
      while (changedBy(reconciler) === before) await new Promise(setImmediate);
    });
    found["ours"]?.push(ms);
    found["block"]?.push(blockMs);
    found["changes"]?.push(changedBy(reconciler) - before);
  }
  stop.abort(new Error("measured"));
  await running;
  return found;
}

function changedBy(reconciler: Host["reconciler"]): number {
  const changed = Object.values(reconciler.counters().reconcile_objects_changed_total);
  return changed.reduce((sum, of) => sum + of, 0);
}

/** Resident memory with these peers programmed, in KiB. */
async function memory(): Promise<Measured> {
  const { reconciler } = await programmed();
  await reconciler.pass();
  globalThis.gc?.();
  globalThis.gc?.();
  return { ours: [process.memoryUsage.rss() / 1024] };
}

async function programmed(leases: readonly Lease[] = peers(count)): Promise<Host> {
  const host = await openHost(kernel);
  await host.reconciler.pass();
  host.reconciler.setPeers(leases);
  const [refused] = await host.reconciler.pass();
  if (refused !== undefined) throw refused;
  return host;
}

/** `blockMs`: the longest time that the event loop served nobody. */
async function timed(act: () => Promise<unknown>): Promise<{ ms: number; blockMs: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const startedMs = performance.now();
  await act();
  const ms = performance.now() - startedMs;
  delay.disable();
  return { ms, blockMs: delay.max / NS_PER_MS };
}
