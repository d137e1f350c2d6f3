/** The agent between the process it runs in and the adapters it is given: flags → ports → daemon → exit code. */
import { AgentError } from "./core/errors.ts";
import { openHealth, openStatus } from "./agent-view.ts";
import type { BackendDefinition } from "./backends/backend.ts";
import { withBlackholes } from "./backends/blackholes.ts";
import * as registry from "./backends/registry.ts";
import { runDaemon } from "./daemon.ts";
import { KeptLeases } from "./daemon-kept-leases.ts";
import type { KeptLeasesParts } from "./daemon-kept-leases.ts";
import { HINDRANCES } from "./daemon-readiness.ts";
import type { DaemonOptions } from "./daemon.ts";
import { Vitals } from "./daemon-vitals.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { findMissingPrerequisites, neededSwitches } from "./core/prerequisites.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import { formatUsage } from "./flag-text.ts";
import { parseOptions } from "./options.ts";
import { formatCommandUsage, isCommand, runCommand } from "./operator-commands.ts";
import type { CommandPorts } from "./operator-commands.ts";
import type { Options } from "./options.ts";
import type { ProcessFigures } from "./status/metrics.ts";
import type { openEtcdSubnetManager } from "./subnet-manager/etcd/index.ts";
import type { SubnetManager } from "./subnet-manager/subnet-manager.ts";
import type { Clock } from "./system/clock.ts";
import type { Files } from "./system/files.ts";
import { openLog } from "./system/pino-log.ts";
import type { Log } from "./system/log.ts";
import type { Random } from "./system/random.ts";
import { ServiceManager } from "./system/service-manager.ts";
import { askStatusSocket, removeDeadSocket } from "./system/status-socket.ts";
import type { TrafficManager } from "./traffic-manager/traffic-manager.ts";

const EXIT_OPERATING_ERROR = 1;
const EXIT_BAD_FLAGS = 2;
/** The program that Go's usage text begins with is its own path; nobody needs ours. */
const PROGRAM = "flanneld";

/** What an agent acts through. */
export interface Adapters {
  readonly openSubnetManager: (options: SubnetManagerOptions) => SubnetManager & AsyncDisposable;
  /** @throws AgentError "kernel-refused" */
  readonly openKernel: () => Kernel & AsyncDisposable;
  readonly files: Files;
  /** Refuses a second agent for the same subnet file. @throws AgentError "already-running", "file-unusable" */
  readonly lockInstance: (subnetFile: string) => Disposable;
  /** The same for a cleanup, which takes the file of the lock away; undefined where there is no directory for it. */
  readonly lockForCleanup: CommandPorts["lockForCleanup"];
  /** Sends one datagram to a unix socket. @throws Error */
  readonly sendDatagram: (socket: string, text: string) => void;
  readonly openTrafficManager: (options: TrafficManagerOptions) => TrafficManager;
  readonly clock: Clock;
  readonly random: Random;
}

export interface TrafficManagerOptions {
  /** Else iptables carries the rules. */
  readonly usesNftables: boolean;
  readonly log: Log;
  /** Ends what still runs when it aborts. */
  readonly signal: AbortSignal;
}

export type SubnetManagerOptions = Parameters<typeof openEtcdSubnetManager>[0];

/** The process that an agent is. */
export interface Surroundings {
  /** Without the program. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly isTerminal: boolean;
  writeError(text: string): void;
  /** What a command was asked for. */
  writeOut(text: string): void;
  processFigures(): ProcessFigures;
  version(): string;
  /** Aborts when the process is asked to stop. */
  stopSignal(log: Log): AbortSignal;
  /** Told whenever readiness changes. */
  onReady?(ready: boolean): void;
}

/** Runs until it is asked to stop, and returns the exit code. Throws nothing but a mistake of ours. */
export async function runAgent(surroundings: Surroundings, adapters: Adapters): Promise<number> {
  const [first, ...words] = surroundings.argv;
  if (isCommand(first)) return obey(first, words, surroundings, adapters);
  try {
    const request = parseOptions(surroundings.argv, surroundings.environment);
    if (request.kind === "run") return await start(request.options, surroundings, adapters);
    surroundings.writeError(
      request.kind === "help" ? formatUsage(PROGRAM) : `${surroundings.version()}\n`,
    );
    return 0;
  } catch (error) {
    if (!isBadFlags(error)) throw error;
    const usage = error.code === "flags-unreadable" ? formatUsage(PROGRAM) : "";
    surroundings.writeError(`${error.message}\n${usage}`);
    return EXIT_BAD_FLAGS;
  }
}

function isBadFlags(error: unknown): error is AgentError {
  return (
    error instanceof AgentError &&
    (error.code === "flags-unreadable" || error.code === "options-invalid")
  );
}

/** Runs a command of an operator; what makes it impossible is one line. */
async function obey(
  name: Parameters<typeof runCommand>[0],
  words: readonly string[],
  surroundings: Surroundings,
  adapters: Adapters,
): Promise<number> {
  try {
    const writeOut = (text: string): void => surroundings.writeOut(text);
    const log = openLog({ level: "info", format: "text" });
    const { signal } = new AbortController();
    const openFirewalls = (): readonly TrafficManager[] =>
      [true, false].map((usesNftables) =>
        adapters.openTrafficManager({ usesNftables, log, signal }),
      );
    const ports = {
      ...adapters,
      ask: askStatusSocket,
      removeDeadSocket,
      openFirewalls,
      writeOut,
    };
    return await runCommand(name, words, surroundings.environment, ports);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    const isUsage = isBadFlags(error);
    surroundings.writeError(`${error.message}\n${isUsage ? formatCommandUsage("flanneld") : ""}`);
    return isUsage ? EXIT_BAD_FLAGS : EXIT_OPERATING_ERROR;
  }
}

async function start(
  options: Options,
  surroundings: Surroundings,
  adapters: Adapters,
): Promise<number> {
  const log = openLog({
    level: options.verbosity > 0 ? "debug" : "info",
    format:
      options.logFormat === "auto"
        ? surroundings.isTerminal
          ? "text"
          : "json"
        : options.logFormat,
  });
  for (const warning of options.warnings) log.warn({}, warning);
  log.info({ flags: options.given }, "CLI flags config");
  try {
    await run(options, log, surroundings, adapters);
    log.info({}, "Exiting cleanly...");
    return 0;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    log.error({ code: error.code }, error.message);
    return isBadFlags(error) ? EXIT_BAD_FLAGS : EXIT_OPERATING_ERROR;
  }
}

async function run(
  options: Options,
  log: Log,
  surroundings: Surroundings,
  adapters: Adapters,
): Promise<void> {
  const { openSubnetManager, openKernel, files, clock, random } = adapters;
  const signal = surroundings.stopSignal(log);
  using _lock = adapters.lockInstance(options.subnetFile);
  await using service = openService(surroundings, adapters, log, signal);
  const vitals = new Vitals();
  const { readiness } = vitals;
  const tell = (): void => service?.setReady(readiness.serves, reasons(vitals));
  readiness.tellServing(tell);
  let wasReady = false;
  const view = {
    options,
    version: surroundings.version(),
    vitals,
    wasReady: () => wasReady,
    processFigures: () => surroundings.processFigures(),
    files,
    clock,
  };
  await using _health = await openHealth(view);
  await using _status = await openStatus(view, log);
  const room = log.child({ room: "subnet-manager" });
  await using leases = openSubnetManager({ ...storeOptions(options), clock, random, log: room });
  const subnetManager = keepState(leases, options, { files, clock, log: room, vitals });
  log.info({}, `Created subnet manager: ${subnetManager.name}`);
  await using kernel = openKernel();
  await runDaemon(
    {
      ...daemonOptions(options),
      onReady: (now) => {
        tell();
        wasReady ||= now;
        surroundings.onReady?.(now);
      },
      vitals,
    },
    {
      subnetManager,
      kernel,
      backends: backendsByType(options),
      checkMachine: (config) => checkMachine(config, files, log),
      openTrafficManager: ({ enableNftables }) =>
        adapters.openTrafficManager({
          usesNftables: enableNftables,
          log: log.child({ room: "traffic-manager" }),
          signal,
        }),
      files,
      clock,
      random,
      log,
    },
    signal,
  );
}

/** What the store says, kept for a start while it is down, where there is a directory for that. */
function keepState(
  leases: SubnetManager,
  { stateDirectory: directory, etcdPrefix: prefix, etcdEndpoints: endpoints }: Options,
  { vitals, ...ports }: Pick<KeptLeasesParts, "files" | "clock" | "log"> & { vitals: Vitals },
): SubnetManager {
  if (directory === "") return leases;
  const onUnconfirmed = (unconfirmed: boolean): void =>
    vitals.readiness.set("lease unconfirmed", unconfirmed);
  const cluster = { prefix, endpoints };
  return new KeptLeases(leases, { ...ports, directory, cluster, onUnconfirmed });
}

/** Tells the service manager at once that the agent was asked to stop, and not when it has. */
function openService(
  { environment, pid }: Surroundings,
  { sendDatagram: send, clock }: Adapters,
  log: Log,
  signal: AbortSignal,
): ServiceManager | undefined {
  const service = ServiceManager.open({ environment, pid, send, clock, log });
  signal.addEventListener("abort", () => service?.setStopping(), { once: true });
  return service;
}

function reasons({ readiness }: Vitals): readonly string[] {
  return readiness.hindrances.map((one) => HINDRANCES[one]);
}

function storeOptions(options: Options): Omit<SubnetManagerOptions, "clock" | "random" | "log"> {
  return {
    endpoints: options.etcdEndpoints,
    prefix: options.etcdPrefix,
    keyFile: options.etcdKeyFile,
    certificateFile: options.etcdCertificateFile,
    authoritiesFile: options.etcdAuthoritiesFile,
    username: options.etcdUsername,
    password: options.etcdPassword,
    renewMarginMinutes: options.renewMarginMinutes,
  };
}

async function checkMachine(config: NetworkConfig, files: Files, log: Log): Promise<void> {
  const switches = new Map<string, string | undefined>();
  for (const path of neededSwitches(config))
    switches.set(path, await files.read(`/proc/sys/${path}`));
  for (const missing of findMissingPrerequisites(config, switches)) log.warn({}, missing);
}

function daemonOptions(options: Options): Omit<DaemonOptions, "onReady"> {
  return {
    interfaceWishes: options.interfaceWishes,
    subnetFile: options.subnetFile,
    rules: {
      masquerade: options.ipMasq,
      forward: options.forwardRules,
      fullyRandom: !options.fullyRandomDisabled,
      resyncSeconds: options.rulesResyncSeconds,
    },
  };
}

function backendsByType({
  blackholeRoute,
}: Pick<Options, "blackholeRoute">): ReadonlyMap<string, BackendDefinition> {
  const backends = new Map<string, BackendDefinition>();
  for (const definition of Object.values(registry)) {
    if (backends.has(definition.type)) throw new Error(`two backends of type ${definition.type}`);
    backends.set(definition.type, blackholeRoute ? withBlackholes(definition) : definition);
  }
  return backends;
}
