import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { parseKeptState } from "./core/kept-state.ts";
import { parseCidr, parseIp } from "./core/ip.ts";
import type { Lease } from "./core/lease.ts";
import { parseNetworkConfig } from "./core/network-config.ts";
import { StateFile } from "./daemon-state-file.ts";
import type { StateFileParts } from "./daemon-state-file.ts";
import type { HeldLease } from "./subnet-manager/subnet-manager.ts";
import type { Clock } from "./system/clock.ts";
import type { Files } from "./system/files.ts";
import { ManualClock } from "./system/manual-clock.ts";
import { MemoryFiles } from "./system/memory-files.ts";
import { MemoryLog } from "./system/memory-log.ts";
import { NodeFiles } from "./system/node-files.ts";

const CONFIG = parseNetworkConfig('{"Network":"10.42.0.0/16","Backend":{"Type":"host-gw"}}');
const DAY_MS = 86_400_000;
const SECRET = "correct horse battery staple";

function lease(number: number): Lease {
  return {
    subnets: { 4: parseCidr(`10.42.${number}.0/24`) },
    publicIps: { 4: parseIp(`192.0.2.${number}`) },
    backendType: "host-gw",
    backendData: {},
  };
}

function held(number: number, endsMs = DAY_MS): HeldLease {
  return { lease: lease(number), endsMs, id: "17" };
}

/** Memory files that count what is asked of them. */
class CountedFiles implements Files {
  readonly inner: MemoryFiles = new MemoryFiles();
  readonly writes: string[] = [];
  tries = 0;
  removals = 0;

  read(path: string): Promise<string | undefined> {
    return this.inner.read(path);
  }

  async writeAtomically(path: string, text: string): Promise<void> {
    this.tries++;
    await this.inner.writeAtomically(path, text);
    this.writes.push(text);
  }

  async remove(path: string): Promise<void> {
    this.removals++;
    await this.inner.remove(path);
  }
}

/** A clock whose wall somebody sets. */
class SetClock extends ManualClock {
  aheadMs = 0;

  override wallClock(): Date {
    return new Date(super.wallClock().getTime() + this.aheadMs);
  }
}

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

interface Running {
  readonly file: StateFile;
  readonly files: CountedFiles;
  readonly clock: SetClock;
  readonly log: MemoryLog;
  readonly stop: () => Promise<void>;
}

function run(parts: Partial<StateFileParts> & { readonly clock?: SetClock } = {}): Running {
  const [files, clock, log] = [new CountedFiles(), parts.clock ?? new SetClock(), new MemoryLog()];
  const cluster = { prefix: "/p", endpoints: ["http://192.0.2.200:2379"] };
  const file = new StateFile({
    directory: "/var/lib/flannel/",
    cluster,
    files,
    clock,
    log,
    ...parts,
  });
  const controller = new AbortController();
  const ended = file.run(controller.signal).catch(() => undefined);
  const stop = async (): Promise<void> => {
    controller.abort(new Error("over"));
    await ended;
  };
  stops.push(stop);
  return { file, files, clock, log, stop };
}

/** Everything is known, and written. */
async function written(running: Running = run()): Promise<Running> {
  const { file, clock } = running;
  file.setConfig(CONFIG);
  file.setHeld(held(1));
  file.setPeers([lease(2)]);
  await clock.advance(1_000);
  return running;
}

test("nothing is written before config, lease and peers are known; then at once", async () => {
  const { file, files, clock } = run();
  file.setConfig(CONFIG);
  file.setHeld(held(1));
  await clock.advance(120_000);
  expect(files.writes).toEqual([]);
  file.setPeers([]);
  await clock.advance(1);
  expect(files.writes).toHaveLength(1);
  expect([...files.inner.texts.keys()]).toEqual([file.path]);
  expect(file.path).toMatch(/^\/var\/lib\/flannel\/state-p-[0-9a-f]{8}\.json$/);
});

test("a start is not held up by a write: the first is a second after it", async () => {
  const { file, files, clock } = run();
  file.setConfig(CONFIG);
  file.setHeld(held(1));
  file.setPeers([]);
  await clock.advance(999);
  expect(files.writes).toEqual([]);
  await clock.advance(1);
  expect(files.writes).toHaveLength(1);
});

test("a day in which nothing changes has no write", async () => {
  const { files, clock } = await written();
  await clock.advance(DAY_MS / 24);
  expect(files.writes).toHaveLength(1);
});

test("a renewal is written at once, with what the lease has left", async () => {
  const { file, files, clock } = await written();
  await clock.advance(10_000);
  file.setHeld(held(1, 2 * DAY_MS));
  await clock.advance(1);
  expect(files.writes).toHaveLength(2);
  expect(parseKeptState(files.writes[1] ?? "").leaseLeftMs).toBe(2 * DAY_MS - 11_000);
});

test("peers that change once are in the file a second later", async () => {
  const { file, files, clock } = await written();
  file.setPeers([lease(2), lease(3)]);
  await clock.advance(1_000);
  expect(parseKeptState(files.writes.at(-1) ?? "").peers).toEqual([lease(2), lease(3)]);
  expect(files.writes).toHaveLength(2);
});

test("a thousand changes of peers in a minute are seven writes at most, later ones one a minute, the last with the last peers", async () => {
  const { file, files, clock } = await written();
  const minute = async (): Promise<void> => {
    for (let number = 0; number < 1_000; number++) {
      file.setPeers([lease(2), lease(3 + (number % 200))]);
      await clock.advance(60);
    }
  };
  await minute();
  expect(files.writes.length).toBeLessThanOrEqual(7);
  const { length } = files.writes;
  for (let number = 0; number < 5; number++) await minute();
  expect(files.writes.length - length).toBeLessThanOrEqual(6);
  file.setPeers([lease(9)]);
  await clock.advance(60_000);
  expect(parseKeptState(files.writes.at(-1) ?? "").peers).toEqual([lease(9)]);
});

test("what was not written yet is written at the stop", async () => {
  const { file, files, clock, stop } = await written();
  await clock.advance(40_000);
  file.setPeers([lease(7)]);
  await clock.advance(500);
  expect(files.writes).toHaveLength(1);
  await stop();
  expect(parseKeptState(files.writes.at(-1) ?? "").peers).toEqual([lease(7)]);
  expect(files.writes).toHaveLength(2);
});

test("B1: a lease that the store has no more is in no file", async () => {
  const { file, files, clock } = await written();
  file.setHeld(undefined);
  await clock.advance(1_000);
  expect(files.inner.texts.size).toBe(0);
  expect(files.removals).toBe(1);
  await clock.advance(3_600_000);
  expect(files.removals).toBe(1);
  file.setHeld(held(1));
  await clock.advance(1_000);
  expect(files.inner.texts.size).toBe(1);
});

test("B4: a wall clock that is set is written down, and not again", async () => {
  const { files, clock } = await written();
  clock.aheadMs = 25 * 3_600_000;
  await clock.advance(300_000);
  expect(files.writes).toHaveLength(2);
  const [before, after] = files.writes.map((text) => parseKeptState(text).written.wallMs);
  expect((after ?? 0) - (before ?? 0)).toBeGreaterThan(25 * 3_600_000 - 1);
});

test("B4: a machine that slept has slept through its lease too", async () => {
  const { file, files, clock } = run();
  const boot = (uptimeSeconds: number): void => {
    files.inner.texts.set("/proc/sys/kernel/random/boot_id", "one\n");
    files.inner.texts.set("/proc/uptime", `${uptimeSeconds}.50 7.00\n`);
  };
  boot(1_000);
  file.setConfig(CONFIG);
  file.setHeld(held(1));
  file.setPeers([]);
  await clock.advance(1_000);
  // An hour, of which the clock of the process knows nothing.
  clock.aheadMs = 3_600_000;
  boot(1_000 + 3_600);
  await clock.advance(60_000);
  expect(files.writes).toHaveLength(2);
  const { leaseLeftMs, written: then } = parseKeptState(files.writes[1] ?? "");
  expect(leaseLeftMs).toBe(DAY_MS - 3_600_000 - 1_000);
  expect(then.boot).toEqual({ id: "one", uptimeMs: 4_600_500 });
});

test("a disk that takes nothing is complained of once, and does not make it write more often", async () => {
  const running = run();
  const { file, files, clock, log } = running;
  files.inner.refuse(file.path, "ENOSPC: no space left on device");
  await written(running);
  await clock.advance(300_000);
  expect(files.tries).toBe(11);
  const warnings = log.lines.filter(({ level }) => level === "warn");
  expect(warnings.map(({ message }) => message)).toEqual([
    `cannot write ${file.path}: ENOSPC: no space left on device: going on without a state file; should this node boot while the store is down, it waits for it`,
  ]);
  files.inner.allow(file.path);
  await clock.advance(60_000);
  expect(files.writes).toHaveLength(1);
  expect(log.lines.at(-1)?.message).toBe("no longer so");
});

test("where nothing can be written, the file of a lease that is ours no more goes", async () => {
  const { file, files, clock } = await written();
  files.inner.refuse(file.path, "ENOSPC: no space left on device");
  await clock.advance(5_000);
  file.setHeld(held(1, 2 * DAY_MS));
  await clock.advance(60_000);
  expect(files.inner.texts.size).toBe(1);
  file.setHeld(held(5));
  await clock.advance(60_000);
  expect(files.inner.texts.size).toBe(0);
});

test("a config with a secret is kept in no file, nor is what was there", async () => {
  const running = run();
  const { file, files, clock, log } = running;
  files.inner.texts.set(file.path, "of before");
  const backend = { Type: "wireguard", PSK: SECRET };
  file.setConfig(parseNetworkConfig(JSON.stringify({ Network: "10.42.0.0/16", Backend: backend })));
  file.setHeld(held(1));
  file.setPeers([]);
  await clock.advance(600_000);
  expect(files.inner.texts.size).toBe(0);
  expect(files.writes).toEqual([]);
  expect(JSON.stringify(log.lines)).not.toContain(SECRET);
  expect(log.lines.filter(({ message }) => message.includes("keeping no state file"))).toHaveLength(
    1,
  );
});

test("what one run wrote the next one reads, with the time that is left", async () => {
  const { file, files, clock } = await written();
  await clock.advance(3_600_000);
  const state = await file.load();
  expect(state).toMatchObject({
    lease: lease(1),
    peers: [lease(2)],
    leaseId: "17",
    config: CONFIG,
  });
  expect(state?.leaseLeftMs).toBeCloseTo(DAY_MS - 3_600_000, -4);
  clock.aheadMs = -2 * DAY_MS;
  expect(await file.load()).toBeUndefined();
  expect(files.writes.length).toBeLessThanOrEqual(2);
});

test("the file on a disk is for its owner alone, and names the boot of this machine", async () => {
  const directory = mkdtempSync(join(tmpdir(), "twill-state-"));
  try {
    const clock: Clock = new SetClock();
    const running = run({
      directory: join(directory, "flannel"),
      files: new NodeFiles(),
      clock: clock as SetClock,
    });
    const { file } = await written(running);
    await running.stop();
    expect(statSync(file.path).mode & 0o777).toBe(0o600);
    const { boot } = (await file.load())?.written ?? {};
    expect(boot?.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(boot?.uptimeMs).toBeGreaterThan(0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
