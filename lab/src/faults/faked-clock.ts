import { join } from "node:path";
import { LabError } from "../errors.ts";
import type { LabHost } from "../hosts/host.ts";
import { fileExists, listDirectory, readText, removeTree, writeText } from "../system/files.ts";
import { run } from "../system/processes.ts";
import { type AgentTarget, aimAtAgent, startAnew } from "./agent-process.ts";
import type { FaultDefinition, FaultSite, Sighting } from "./fault.ts";

/**
 * Faults of one agent's wall clock, by libfaketime: a library between the agent and the C library's clocks, so the agent starts
 * anew with it. What it says is in a file of the host. The monotonic clock is left alone, and so are all other processes.
 */
export interface ClockTarget extends AgentTarget {
  /** In the host's /run. */
  readonly file: string;
  /** What the file says from the agent's start on, and once it is ready. Source: libfaketime README, 4d and 4e. */
  readonly settings: ClockSettings;
  readonly strobing: AbortController;
  /** Until the last turn of a strobe. */
  loop: Promise<void>;
}

export interface ClockSettings {
  readonly atStart: string;
  readonly onceReady: string;
  /** From then on the file says this and what it said before in turns. */
  readonly strobe?: { readonly everyMs: number; readonly ahead: string };
}

/** What another process of the host that has the library too says of its clock. */
export interface ClockReading {
  /** Before the machine's when negative. */
  readonly aheadMs: number;
  /** Milliseconds of its wall clock in one of the monotonic clock. */
  readonly pace: number;
  /** How often it was, within a second, by far another time than it should have been by then. */
  readonly jumps: number;
}

type ClockFault = FaultDefinition<ClockTarget>;

const LIBRARY = "faketime/libfaketimeMT.so.1";
const TIME_LIMIT_MS = 20_000;
/** Long enough to see a pace, and jumps. */
const LOOK_MS = 1000;
/** For Node: how its wall clock goes beside the monotonic one, how often it jumps, and what it says then. Argument: for how long. */
const READ_CLOCK = `
const [wall, monotonic] = [Date.now(), performance.now()];
let [jumps, before] = [0, wall - monotonic];
const looking = setInterval(() => {
  const ahead = Date.now() - performance.now();
  jumps += Math.abs(ahead - before) > 10000 ? 1 : 0;
  before = ahead;
}, 20);
setTimeout(() => {
  clearInterval(looking);
  const now = Date.now();
  console.log(JSON.stringify({ now, pace: (now - wall) / (performance.now() - monotonic), jumps }));
}, Number(process.argv[1]));
`;

/** Where Debian's package or a person has put it. */
export function clockLibrary(): string | undefined {
  const directories = [
    "/usr/local/lib",
    ...listDirectory("/usr/lib").map((name) => `/usr/lib/${name}`),
  ];
  return directories.map((directory) => join(directory, LIBRARY)).find(fileExists);
}

/** All of a fault of an agent's clock but its name and its parameters. */
export function fakingClock(
  settingsOf: (parameters: Readonly<Record<string, string>>) => ClockSettings,
  shows: (reading: ClockReading, settings: ClockSettings) => string | undefined,
  lookMs: number = LOOK_MS,
): Pick<
  ClockFault,
  "place" | "needs" | "timeLimitMs" | "aim" | "inject" | "verify" | "heal" | "verifyHealed"
> {
  return {
    place: "host",
    needs: "faketime",
    timeLimitMs: TIME_LIMIT_MS,
    aim: async (site, { parameters }) => ({
      ...(await aimAtAgent(site)),
      file: `clock-${site.id}`,
      settings: settingsOf(parameters),
      strobing: new AbortController(),
      loop: Promise.resolve(),
    }),
    inject: async (site, target) => {
      const { file, settings } = target;
      const host = site.host();
      if (isFaked(host)) {
        throw new LabError("wrong-state", `the clock of ${host.name} is faked already`);
      }
      const path = join(host.files.run, file);
      writeText(path, settings.atStart);
      await startAnew(site, { environment: clockEnvironment(file) }, TIME_LIMIT_MS);
      writeText(path, settings.onceReady);
      target.loop = strobe(site, path, target);
    },
    verify: async (site, { file, settings }): Promise<Sighting | undefined> => {
      const host = site.host();
      if (!isFaked(host)) {
        return undefined;
      }
      const saw = shows(await readClock(site, file, lookMs), settings);
      return saw === undefined
        ? undefined
        : { saw: `process ${host.agent.pid} has libfaketime, whose clock ${saw}` };
    },
    heal: async (site, { file, strobing, loop }) => {
      strobing.abort();
      await loop;
      const host = site.host();
      if (isFaked(host) || host.agent.pid === undefined) {
        await startAnew(site, {}, TIME_LIMIT_MS);
      }
      removeTree(join(host.files.run, file));
    },
    verifyHealed: async (site) => {
      const host = site.host();
      return host.agent.pid === undefined || isFaked(host)
        ? undefined
        : { saw: `process ${host.agent.pid} has no libfaketime` };
    },
  };
}

/** In turns until it is aborted; nothing where the settings have no strobe. */
async function strobe(
  { clock }: FaultSite,
  path: string,
  { settings, strobing: { signal } }: ClockTarget,
): Promise<void> {
  for (let isAhead = true; settings.strobe !== undefined && !signal.aborted; isAhead = !isAhead) {
    const { everyMs, ahead } = settings.strobe;
    writeText(path, isAhead ? ahead : settings.onceReady);
    await clock.sleep(everyMs, signal);
  }
}

/** Whether the agent has the library. Source: proc_pid_maps(5). */
function isFaked({ agent }: LabHost): boolean {
  const maps = agent.pid === undefined ? undefined : readText(`/proc/${agent.pid}/maps`);
  return maps?.includes("libfaketime") === true;
}

/** Source: libfaketime README. */
function clockEnvironment(file: string): Record<string, string> {
  return {
    LD_PRELOAD: clockLibrary() ?? "",
    FAKETIME_TIMESTAMP_FILE: `/run/${file}`,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}

async function readClock(site: FaultSite, file: string, lookMs: number): Promise<ClockReading> {
  const environment = Object.entries(clockEnvironment(file)).map((pair) => pair.join("="));
  const argv = ["env", ...environment, process.execPath, "-e", READ_CLOCK, String(lookMs)];
  const { stdout } = await run(site.host().anchor.enter(argv), { timeoutMs: TIME_LIMIT_MS });
  const reading: unknown = JSON.parse(stdout);
  const figure = (name: string): number => Number(Reflect.get(Object(reading), name));
  return {
    aheadMs: figure("now") - Date.parse(site.clock.isoTime()),
    pace: figure("pace"),
    jumps: figure("jumps"),
  };
}
