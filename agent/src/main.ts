#!/usr/bin/env node
/** flags → adapters → daemon → exit code; the only file that may end the process. */
import { flushCompileCache } from "node:module";
import { NetlinkKernel } from "./kernel/netlink-kernel.ts";
import { openLegacyRules, openRuleGeneration, watchRules } from "./kernel/netlink-rules.ts";
import manifest from "../package.json" with { type: "json" };
import { runAgent } from "./run-agent.ts";
import { openEtcdSubnetManager } from "./subnet-manager/etcd/index.ts";
import { CryptoRandom } from "./system/crypto-random.ts";
import { lockForCleanup, lockInstance } from "./system/instance-lock.ts";
import { NodeCommand } from "./system/node-command.ts";
import { NodeFiles } from "./system/node-files.ts";
import { sendDatagram } from "./system/service-socket.ts";
import type { ProcessFigures } from "./status/metrics.ts";
import { keepHeapSmall } from "./system/small-heap.ts";
import type { Log } from "./system/log.ts";
import { SystemClock } from "./system/system-clock.ts";
import { openTrafficManager } from "./traffic-manager/firewalls.ts";

/** A stop that hangs is cut short (invariant E4); leases and data path are kept either way. */
const STOP_LIMIT_MS = 1_500;

// No await at the top: the bundle is a CommonJS module, the only kind that a single executable can be made of.
void main();

async function main(): Promise<never> {
  const exitCode = await runAgent(
    {
      argv: process.argv.slice(2),
      environment: process.env,
      pid: process.pid,
      isTerminal: process.stderr.isTTY,
      writeError: (text) => process.stderr.write(text),
      writeOut: (text) => process.stdout.write(text),
      processFigures,
      version: () => manifest.version,
      stopSignal,
      // Where NODE_COMPILE_CACHE is set: at its end a process is not always asked.
      onReady: () => flushCompileCache(),
    },
    {
      openSubnetManager: openEtcdSubnetManager,
      openKernel: () => {
        // Not before all that Node loads of itself while an agent starts: after a change of V8's flags it takes none of that compiled.
        keepHeapSmall();
        return NetlinkKernel.open();
      },
      openTrafficManager: ({ signal, ...options }) =>
        openTrafficManager({
          ...options,
          command: new NodeCommand({ signal }),
          watchRules,
          ruleGeneration: openRuleGeneration(),
          legacyRules: openLegacyRules(),
        }),
      files: new NodeFiles(),
      lockInstance,
      lockForCleanup,
      sendDatagram,
      clock: new SystemClock(),
      random: new CryptoRandom(),
    },
  );
  // A connection attempt that is still under way would hold the process for seconds after everything was closed.
  process.exit(exitCode);
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

function processFigures(): ProcessFigures {
  const { user, system } = process.cpuUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    startSeconds: performance.timeOrigin / 1_000,
  };
}
