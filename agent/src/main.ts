#!/usr/bin/env node
/** flags → adapters → daemon → exit code; the only file that may end the process. */
import { readFileSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { AgentError } from "./core/errors.ts";
import type { BackendDefinition } from "./backends/backend.ts";
import * as registry from "./backends/registry.ts";
import { runDaemon } from "./daemon.ts";
import { NetlinkKernel } from "./kernel/netlink-kernel.ts";
import { formatUsage, parseOptions } from "./options.ts";
import type { Options } from "./options.ts";
import { openEtcdSubnetManager } from "./subnet-manager/etcd/index.ts";
import { CryptoRandom } from "./system/crypto-random.ts";
import { HealthServer } from "./system/health-server.ts";
import { NodeFiles } from "./system/node-files.ts";
import { openLog } from "./system/pino-log.ts";
import { keepHeapSmall } from "./system/small-heap.ts";
import type { Log } from "./system/log.ts";
import { SystemClock } from "./system/system-clock.ts";

const EXIT_OPERATING_ERROR = 1;
const EXIT_BAD_FLAGS = 2;
/** A stop that hangs is cut short (invariant E4); leases and data path are kept either way. */
const STOP_LIMIT_MS = 1_500;

keepHeapSmall();
// A connection attempt that is still under way would hold the process for seconds after everything was closed.
process.exit(await main());

async function main(): Promise<number> {
  try {
    const request = parseOptions(process.argv.slice(2), process.env);
    if (request.kind === "run") return await start(request.options);
    process.stderr.write(request.kind === "help" ? formatUsage("flanneld") : `${version()}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof AgentError && error.code === "options-invalid")) throw error;
    process.stderr.write(`${error.message}\n${formatUsage("flanneld")}`);
    return EXIT_BAD_FLAGS;
  }
}

async function start(options: Options): Promise<number> {
  const log = openLog({
    level: options.verbosity > 0 ? "debug" : "info",
    format:
      options.logFormat === "auto" ? (process.stderr.isTTY ? "text" : "json") : options.logFormat,
  });
  for (const warning of options.warnings) log.warn({}, warning);
  try {
    await run(options, log, stopSignal(log));
    log.info({}, "Exiting cleanly...");
    return 0;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    log.error({ code: error.code }, error.message);
    return EXIT_OPERATING_ERROR;
  }
}

async function run(options: Options, log: Log, signal: AbortSignal): Promise<void> {
  const clock = new SystemClock();
  const random = new CryptoRandom();
  const files = new NodeFiles();
  let ready = false;
  await using _health =
    options.healthPort > 0
      ? await HealthServer.open(options.healthIp, options.healthPort, () => ready)
      : undefined;
  await using subnetManager = openEtcdSubnetManager({
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
  await using kernel = NetlinkKernel.open();
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
      onReady: (now) => {
        ready = now;
        // Where NODE_COMPILE_CACHE is set: at its end a process is not always asked.
        flushCompileCache();
      },
    },
    { subnetManager, kernel, backends: backendsByType(), files, clock, random, log },
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

/** Aborts at the first SIGINT or SIGTERM; a second one ends the process by its default. */
function stopSignal(log: Log): AbortSignal {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    log.info({ signal: name }, "shutdownHandler sent cancel signal...");
    controller.abort(new Error(`stopped by ${name}`));
    setTimeout(() => {
      log.warn({}, "the stop took too long, ending now; leases and data path are kept");
      process.exit(0);
    }, STOP_LIMIT_MS).unref();
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  return controller.signal;
}

function version(): string {
  const file = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return String((JSON.parse(file) as { version: unknown }).version);
}
