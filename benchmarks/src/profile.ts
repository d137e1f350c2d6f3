/** Where an act spends processor time: by thread, and of the main thread by the rooms of the code that runs there. */
import { readFileSync, readdirSync } from "node:fs";
import { type Profiler, Session } from "node:inspector/promises";

/** Milliseconds of processor time by name. */
export type Spent = Readonly<Record<string, number>>;

const SAMPLE_EVERY_US = 100;
const NS_PER_MS = 1e6;

/** Of the main thread, by where the function stands; the first that fits. */
const ROOMS: readonly { readonly name: string; readonly of: RegExp }[] = [
  { name: "planning", of: /\/agent\/src\/(backends|core)\/|\/kernel\/(wishes|nexthops)\.ts$/ },
  { name: "netlink messages", of: /\/linux\/src\/|\/kernel\/netlink-\w+\.ts$/ },
  { name: "maps of objects", of: /\/kernel\/(by-identity|holdings)\.ts$/ },
  { name: "comparing", of: /\/agent\/src\/kernel\// },
];
const OTHER = "anything else";
const COLLECTOR = "(garbage collector)";
const IDLE = "(idle)";

/** By the beginning of the name that Node and V8 give their threads. */
const THREADS: readonly { readonly name: string; readonly of: RegExp }[] = [
  { name: "the kernel, in a thread", of: /^libuv/ },
  { name: "V8's helpers", of: /^(V8|Delayed)/ },
];

/** Its own work is no part of the act's. */
const PROFILER = /^v8:Prof/;

/** Runs the act under V8's profiler, which makes it slower. */
export async function profiled(act: () => Promise<unknown>): Promise<Spent> {
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: SAMPLE_EVERY_US });
    await session.post("Profiler.start");
    const before = threadsMs();
    await act();
    const after = threadsMs();
    const { profile } = await session.post("Profiler.stop");
    return spent(before, after, profile);
  } finally {
    session.disconnect();
  }
}

interface Thread {
  readonly name: string;
  readonly ms: number;
}

/** By thread id. Source: proc(5), /proc/[pid]/task/[tid]/schedstat, whose first figure is nanoseconds spent on the processor. */
function threadsMs(): ReadonlyMap<number, Thread> {
  const ids = readdirSync("/proc/self/task").map(Number);
  return new Map(
    ids.map((id) => {
      const [ns = ""] = readFileSync(`/proc/self/task/${id}/schedstat`, "utf8").split(" ");
      const name = readFileSync(`/proc/self/task/${id}/comm`, "utf8").trim();
      return [id, { name, ms: Number(ns) / NS_PER_MS }];
    }),
  );
}

function spent(
  before: ReadonlyMap<number, Thread>,
  after: ReadonlyMap<number, Thread>,
  profile: Profiler.Profile,
): Spent {
  const found: Record<string, number> = {};
  for (const [id, { name, ms }] of after) {
    if (PROFILER.test(name)) continue;
    const more = ms - (before.get(id)?.ms ?? 0);
    if (id === process.pid)
      for (const [room, share] of shares(profile)) found[room] = (found[room] ?? 0) + share * more;
    else {
      const thread = THREADS.find(({ of }) => of.test(name))?.name ?? OTHER;
      found[thread] = (found[thread] ?? 0) + more;
    }
  }
  return found;
}

/** Of the samples in which the main thread did something. */
export function shares({ nodes, samples = [] }: Profiler.Profile): ReadonlyMap<string, number> {
  const rooms = new Map(nodes.map(({ id, callFrame }) => [id, roomOf(callFrame)]));
  const busy = samples.map((id) => rooms.get(id)).filter((room) => room !== undefined);
  const counts = Map.groupBy(busy, (room) => room);
  return new Map([...counts].map(([room, { length }]) => [room, length / busy.length]));
}

/** Undefined while there is nothing to do. */
function roomOf({
  functionName,
  url,
}: Profiler.Profile["nodes"][number]["callFrame"]): string | undefined {
  if (functionName === IDLE) return undefined;
  if (functionName === COLLECTOR) return "V8's collector";
  return ROOMS.find(({ of }) => of.test(url))?.name ?? OTHER;
}
