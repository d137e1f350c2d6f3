/** The agent between the process it runs in and the adapters it is given: flags → ports → daemon → exit code. */
import { AgentError } from "./core/errors.ts";
import type { BackendDefinition } from "./backends/backend.ts";
import * as registry from "./backends/registry.ts";
import { runDaemon } from "./daemon.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { findMissingPrerequisites, neededSwitches } from "./core/prerequisites.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import { formatUsage } from "./flag-text.ts";
import { parseOptions } from "./options.ts";
import type { Options } from "./options.ts";
import type { openEtcdSubnetManager } from "./subnet-manager/etcd/index.ts";
import type { SubnetManager } from "./subnet-manager/subnet-manager.ts";
import type { Clock } from "./system/clock.ts";
import type { Files } from "./system/files.ts";
import { HealthServer } from "./system/health-server.ts";
import { openLog } from "./system/pino-log.ts";
import type { Log } from "./system/log.ts";
import type { Random } from "./system/random.ts";
import { ServiceManager } from "./system/service-manager.ts";
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
  version(): string;
  /** Aborts when the process is asked to stop. */
  stopSignal(log: Log): AbortSignal;
  /** Told whenever readiness changes. */
  onReady?(ready: boolean): void;
}

/** Runs until it is asked to stop, and returns the exit code. Throws nothing but a mistake of ours. */
export async function runAgent(surroundings: Surroundings, adapters: Adapters): Promise<number> {
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
  await using service = ServiceManager.open({
    environment: surroundings.environment,
    pid: surroundings.pid,
    send: adapters.sendDatagram,
    clock,
    log,
  });
  signal.addEventListener("abort", () => service?.setStopping(), { once: true });
  let ready = false;
  await using _health =
    options.healthPort > 0
      ? await HealthServer.open(options.healthIp, options.healthPort, () => ready)
      : undefined;
  await using subnetManager = openSubnetManager({
    ...storeOptions(options),
    clock,
    random,
    log: log.child({ room: "subnet-manager" }),
  });
  log.info({}, `Created subnet manager: ${subnetManager.name}`);
  await using kernel = openKernel();
  await runDaemon(
    {
      interfaceWishes: options.interfaceWishes,
      subnetFile: options.subnetFile,
      rules: {
        masquerade: options.ipMasq,
        forward: options.forwardRules,
        fullyRandom: !options.fullyRandomDisabled,
        resyncSeconds: options.rulesResyncSeconds,
      },
      onReady: (now) => {
        ready = now;
        service?.setReady(now);
        surroundings.onReady?.(now);
      },
    },
    {
      subnetManager,
      kernel,
      backends: backendsByType(),
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

function backendsByType(): ReadonlyMap<string, BackendDefinition> {
  const backends = new Map<string, BackendDefinition>();
  for (const definition of Object.values(registry)) {
    if (backends.has(definition.type)) throw new Error(`two backends of type ${definition.type}`);
    backends.set(definition.type, definition);
  }
  return backends;
}
