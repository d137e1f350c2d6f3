/** The agent between the process it runs in and the adapters it is given: flags → ports → daemon → exit code. */
import { AgentError } from "./core/errors.ts";
import type { BackendDefinition } from "./backends/backend.ts";
import * as registry from "./backends/registry.ts";
import { runDaemon } from "./daemon.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { formatUsage, parseOptions } from "./options.ts";
import type { Options } from "./options.ts";
import type { openEtcdSubnetManager } from "./subnet-manager/etcd/index.ts";
import type { SubnetManager } from "./subnet-manager/subnet-manager.ts";
import type { Clock } from "./system/clock.ts";
import type { Files } from "./system/files.ts";
import { HealthServer } from "./system/health-server.ts";
import { openLog } from "./system/pino-log.ts";
import type { Log } from "./system/log.ts";
import type { Random } from "./system/random.ts";
import type { TrafficManager } from "./traffic-manager/traffic-manager.ts";

const EXIT_OPERATING_ERROR = 1;
const EXIT_BAD_FLAGS = 2;

/** What an agent acts through. */
export interface Adapters {
  readonly openSubnetManager: (options: SubnetManagerOptions) => SubnetManager & AsyncDisposable;
  /** @throws AgentError "kernel-refused" */
  readonly openKernel: () => Kernel & AsyncDisposable;
  readonly files: Files;
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
      request.kind === "help" ? formatUsage("flanneld") : `${surroundings.version()}\n`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof AgentError && error.code === "options-invalid")) throw error;
    surroundings.writeError(`${error.message}\n${formatUsage("flanneld")}`);
    return EXIT_BAD_FLAGS;
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
  try {
    await run(options, log, surroundings, adapters);
    log.info({}, "Exiting cleanly...");
    return 0;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    log.error({ code: error.code }, error.message);
    return EXIT_OPERATING_ERROR;
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
  let ready = false;
  await using _health =
    options.healthPort > 0
      ? await HealthServer.open(options.healthIp, options.healthPort, () => ready)
      : undefined;
  await using subnetManager = openSubnetManager({
    endpoints: options.etcdEndpoints,
    prefix: options.etcdPrefix,
    keyFile: options.etcdKeyFile,
    certificateFile: options.etcdCertificateFile,
    authoritiesFile: options.etcdAuthoritiesFile,
    username: options.etcdUsername,
    password: options.etcdPassword,
    renewMarginMinutes: options.renewMarginMinutes,
    clock,
    random,
    log: log.child({ room: "subnet-manager" }),
  });
  log.info({}, `Created subnet manager: ${subnetManager.name}`);
  await using kernel = openKernel();
  await runDaemon(
    {
      interfaceWishes: {
        names: options.interfaceNames,
        patterns: options.interfacePatterns,
        canReach: options.interfaceCanReach,
        publicIp: options.publicIp,
        publicIpv6: options.publicIpv6,
      },
      subnetFile: options.subnetFile,
      rules: {
        masquerade: options.ipMasq,
        forward: options.forwardRules,
        fullyRandom: !options.fullyRandomDisabled,
        resyncSeconds: options.rulesResyncSeconds,
      },
      onReady: (now) => {
        ready = now;
        surroundings.onReady?.(now);
      },
    },
    {
      subnetManager,
      kernel,
      backends: backendsByType(),
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

function backendsByType(): ReadonlyMap<string, BackendDefinition> {
  const backends = new Map<string, BackendDefinition>();
  for (const definition of Object.values(registry)) {
    if (backends.has(definition.type)) throw new Error(`two backends of type ${definition.type}`);
    backends.set(definition.type, definition);
  }
  return backends;
}
