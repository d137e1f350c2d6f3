/**
 * Starts an agent in every way that is shipped, in turn, in a network namespace of this process's own with a store in it, until each is ready:
 * `node start-subject.ts RUNS BUNDLE-DIRECTORY`. Prints one JSON document. Started by start.ts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeExternalInterface } from "./host.ts";

/** What one start took. */
export interface Start {
  readonly versionMs: number;
  readonly readyMs: number;
  /** Of all threads, until ready. */
  readonly cpuMs: number;
  readonly residentKib: number;
}

export type Starts = Readonly<Record<string, readonly Start[]>>;

interface StartWay {
  readonly name: string;
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

const NS_PER_MS = 1e6;
const POLL_MS = 20;
const LIMIT_MS = 30_000;
const STORE = "http://127.0.0.1:2379";

const [runsText = "", bundle = ""] = process.argv.slice(2);

function waysOf(directory: string): readonly StartWay[] {
  const source = join(import.meta.dirname, "../../agent/src/main.ts");
  const single = join(bundle, "flanneld");
  const scripts = [
    { name: "bundle", argv: [process.execPath, join(bundle, "flanneld.cjs")] },
    { name: "source", argv: [process.execPath, source] },
  ];
  return [
    ...scripts.flatMap(({ name, argv }) => [
      { name: `${name}, compile cache`, argv, environment: cache(join(directory, name)) },
      { name, argv, environment: {} },
    ]),
    ...(existsSync(single) ? [{ name: "single file", argv: [single], environment: {} }] : []),
  ];
}

function cache(path: string): Readonly<Record<string, string>> {
  return { NODE_COMPILE_CACHE: path };
}

async function startStore(directory: string): Promise<ChildProcess> {
  const flags = {
    "data-dir": directory,
    "listen-client-urls": STORE,
    "advertise-client-urls": STORE,
    logger: "zap",
    "log-level": "error",
  };
  const argv = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  const store = spawn("etcd", argv, { stdio: "ignore" });
  const config = { Network: "10.244.0.0/16", Backend: { Type: "vxlan" } };
  const body = JSON.stringify({
    key: base64("/coreos.com/network/config"),
    value: base64(JSON.stringify(config)),
  });
  const endMs = performance.now() + LIMIT_MS;
  for (;;) {
    const answer = await fetch(`${STORE}/v3/kv/put`, { method: "POST", body }).catch(
      () => undefined,
    );
    if (answer?.ok === true) return store;
    if (performance.now() > endMs) throw new Error("etcd does not answer");
    await sleep(POLL_MS);
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

async function start(way: StartWay, subnetFile: string): Promise<Start> {
  const versionMs = await untilSaid(way, ["--version"], /\d\n/).then(finished);
  const flags = [
    "--iface=eth0",
    `--etcd-endpoints=${STORE}`,
    `--subnet-file=${subnetFile}`,
    `--state-dir=${dirname(subnetFile)}`,
  ];
  const agent = await untilSaid(way, flags, /flannel is ready/);
  const { pid = 0 } = agent.child;
  const cpuMs = cpuMsOf(pid);
  const residentKib = residentKibOf(pid);
  agent.child.kill("SIGTERM");
  await finished(agent);
  return { versionMs, readyMs: agent.ms, cpuMs, residentKib };
}

interface Said {
  readonly child: ChildProcess;
  readonly ms: number;
  readonly ended: Promise<unknown>;
}

async function finished({ ended, ms }: Said): Promise<number> {
  await ended;
  return ms;
}

/** Resolves as soon as the program has said what is waited for. */
async function untilSaid(
  { name, argv: [program = "", ...first], environment }: StartWay,
  flags: readonly string[],
  pattern: RegExp,
): Promise<Said> {
  const startedMs = performance.now();
  const child = spawn(program, [...first, ...flags], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "inherit", "pipe"],
  });
  const ended = once(child, "exit");
  let text = "";
  child.stderr.setEncoding("utf8");
  const said = new Promise<number>((resolve) => {
    child.stderr.on("data", (part: string) => {
      text += part;
      if (pattern.test(text)) resolve(performance.now() - startedMs);
    });
  });
  const ms = await Promise.race([said, once(child.stderr, "close")]);
  if (typeof ms !== "number") throw new Error(`${name} ${flags.join(" ")} ended: ${text}`);
  return { child, ms, ended };
}

/** Source: Linux Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat. */
function cpuMsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ns = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
  );
  return ns.reduce((sum, one) => sum + one, 0) / NS_PER_MS;
}

/** Source: proc(5) smaps_rollup. */
function residentKibOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Rss:\s+(\d+) kB/m.exec(text)?.[1]);
}

async function measure(directory: string): Promise<Starts> {
  const ways = waysOf(directory);
  const starts: Record<string, Start[]> = Object.fromEntries(ways.map(({ name }) => [name, []]));
  // In turn, so that what else the machine does befalls all alike; the first round fills caches and does not count.
  for (let run = 0; run <= Number(runsText); run++)
    for (const way of ways) {
      const took = await start(way, join(directory, "subnet.env"));
      if (run > 0) starts[way.name]?.push(took);
    }
  return starts;
}

makeExternalInterface();
const home = mkdtempSync(join(tmpdir(), "twill-start-"));
const store = await startStore(join(home, "etcd"));
try {
  process.stdout.write(`${JSON.stringify(await measure(home))}\n`);
} finally {
  const ended = once(store, "exit");
  store.kill("SIGKILL");
  await ended;
  rmSync(home, { recursive: true, force: true });
}
