import { join } from "node:path";
import { LabError } from "../errors.ts";
import type { LabHost } from "../hosts/host.ts";
import { deadlineIn, poll } from "../system/clock.ts";
import { fileExists, listDirectory, readText, removeTree, writeText } from "../system/files.ts";
import { run } from "../system/processes.ts";
import { type AgentTarget, aimAtAgent } from "./agent-process.ts";
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
}

export interface ClockSettings {
  readonly atStart: string;
  readonly onceReady: string;
}

/** What another process of the host that has the library too says of its clock. */
export interface ClockReading {
  /** Before the machine's when negative. */
  readonly aheadMs: number;
  /** Milliseconds of its wall clock in one of the monotonic clock. */
  readonly pace: number;
}

type ClockFault = FaultDefinition<ClockTarget>;

const LIBRARY = "faketime/libfaketimeMT.so.1";
const TIME_LIMIT_MS = 20_000;
const POLL_MS = 20;
/** For Node: how its wall clock goes within one second of the monotonic one, and what it says then. */
const READ_CLOCK = `
const [wall, monotonic] = [Date.now(), performance.now()];
setTimeout(() => {
  const now = Date.now();
  console.log(JSON.stringify({ now, pace: (now - wall) / (performance.now() - monotonic) }));
}, 1000);
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
    }),
    inject: async (site, { file, settings }) => {
      const host = site.host();
      if (isFaked(host)) {
        throw new LabError("wrong-state", `the clock of ${host.name} is faked already`);
      }
      const path = join(host.files.run, file);
      writeText(path, settings.atStart);
      await restart(site, clockEnvironment(file));
      writeText(path, settings.onceReady);
    },
    verify: async (site, { file, settings }): Promise<Sighting | undefined> => {
      const host = site.host();
      if (!isFaked(host)) {
        return undefined;
      }
      const saw = shows(await readClock(site, file), settings);
      return saw === undefined
        ? undefined
        : { saw: `process ${host.agent.pid} has libfaketime, whose clock ${saw}` };
    },
    heal: async (site, { file }) => {
      const host = site.host();
      if (isFaked(host) || host.agent.pid === undefined) {
        await restart(site, {});
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

/** @throws LabError "timed-out" */
async function restart(site: FaultSite, environment: Record<string, string>): Promise<void> {
  const { clock } = site;
  const host = site.host();
  if (host.agent.pid !== undefined && !(await host.agent.end("SIGTERM", TIME_LIMIT_MS))) {
    throw new LabError("timed-out", `the agent on ${host.name} lives on after SIGTERM`);
  }
  await host.startAgent(environment);
  const deadline = deadlineIn(clock, TIME_LIMIT_MS);
  const ready = await poll(clock, { everyMs: POLL_MS, deadline }, async () =>
    host.status().state === "ready" ? true : undefined,
  );
  if (ready === undefined) {
    throw new LabError("timed-out", `the agent on ${host.name} is not ready again`);
  }
}

async function readClock(site: FaultSite, file: string): Promise<ClockReading> {
  const environment = Object.entries(clockEnvironment(file)).map((pair) => pair.join("="));
  const argv = ["env", ...environment, process.execPath, "-e", READ_CLOCK];
  const { stdout } = await run(site.host().anchor.enter(argv), { timeoutMs: TIME_LIMIT_MS });
  const reading: unknown = JSON.parse(stdout);
  const [now, pace] = [Reflect.get(Object(reading), "now"), Reflect.get(Object(reading), "pace")];
  return { aheadMs: Number(now) - Date.parse(site.clock.isoTime()), pace: Number(pace) };
}
