/**
 * The agent with one known bug: flags, store and kernel are real, and between the agent and its ports is a wrapper of the registry.
 * For the lab, which must find the bug out; never part of what is shipped.
 * Usage: node mutant-flanneld.ts --mutations | node mutant-flanneld.ts MUTATION [FLAGS OF FLANNELD]
 */
import type { Ip } from "agent/core/ip.ts";
import type { Lease } from "agent/core/lease.ts";
import type { Kernel } from "agent/kernel/kernel.ts";
import { NetlinkKernel } from "agent/kernel/netlink-kernel.ts";
import { openLegacyRules, openRuleGeneration, watchRules } from "agent/kernel/netlink-rules.ts";
import { type SubnetManagerOptions, runAgent } from "agent/run-agent.ts";
import { EtcdSubnetManager } from "agent/subnet-manager/etcd/etcd-subnet-manager.ts";
import { Etcd3Store } from "agent/subnet-manager/etcd/etcd3-store.ts";
import type { SubnetManager } from "agent/subnet-manager/subnet-manager.ts";
import { CryptoRandom } from "agent/system/crypto-random.ts";
import { lockForCleanup, lockInstance } from "agent/system/instance-lock.ts";
import { NodeCommand } from "agent/system/node-command.ts";
import { NodeFiles } from "agent/system/node-files.ts";
import { sendDatagram } from "agent/system/service-socket.ts";
import { SystemClock } from "agent/system/system-clock.ts";
import { openTrafficManager } from "agent/traffic-manager/firewalls.ts";
import { verbsOf } from "./manager-bugs.ts";
import { NAMED_MUTATIONS } from "./named-mutations.ts";
import type { MutatedNode, PortMutation } from "./port-mutation.ts";

const EXIT_BAD_FLAGS = 2;

/** What the wrappers may know of the node, as the agent's own ports tell it. */
class RealNode implements MutatedNode {
  publicIp = "" as Ip;
  readonly agent: { ready: boolean; lease: Lease | undefined } = { ready: false, lease: undefined };
  readonly world: MutatedNode["world"] = {
    time: {
      after: (ms, act) => {
        setTimeout(act, ms);
      },
    },
  };
}

/** The innermost wrapper of a subnet manager: the node knows the addresses it is asked about, and what it leases. */
function overheard(manager: SubnetManager, node: RealNode): SubnetManager {
  return {
    ...verbsOf(manager),
    previousLeases: (publicIps, signal) => {
      node.publicIp = publicIps[4] ?? publicIps[6] ?? node.publicIp;
      return manager.previousLeases(publicIps, signal);
    },
    acquireLease: async (...words) => {
      node.agent.lease = await manager.acquireLease(...words);
      return node.agent.lease;
    },
  };
}

function openSubnetManager(
  { wrapStore, wrapSubnetManager }: PortMutation,
  node: RealNode,
  options: SubnetManagerOptions,
): SubnetManager & AsyncDisposable {
  const onWarning = (message: string): void => options.log.warn({}, message);
  const store = new Etcd3Store({ ...options, onWarning });
  const inner = new EtcdSubnetManager(wrapStore?.(store, node) ?? store, options);
  const heard = overheard(inner, node);
  return {
    ...(wrapSubnetManager?.(heard, node) ?? heard),
    [Symbol.asyncDispose]: () => inner.close(),
  };
}

function openKernel({ wrapKernel }: PortMutation, node: RealNode): Kernel & AsyncDisposable {
  const kernel = NetlinkKernel.open();
  if (wrapKernel === undefined) return kernel;
  return {
    ...wrapKernel(kernel, node),
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function runMutant(mutation: PortMutation, argv: readonly string[]): Promise<number> {
  const node = new RealNode();
  const [files, clock] = [new NodeFiles(), new SystemClock()];
  return runAgent(
    {
      argv,
      environment: process.env,
      pid: process.pid,
      isTerminal: process.stderr.isTTY,
      writeError: (text) => process.stderr.write(text),
      writeOut: (text) => process.stdout.write(text),
      processFigures: () => ({ cpuSeconds: 0, residentBytes: 0, startSeconds: 0 }),
      version: () => "mutant",
      stopSignal: () => {
        const controller = new AbortController();
        for (const name of ["SIGINT", "SIGTERM"] as const)
          process.once(name, () => controller.abort(new Error(`stopped by ${name}`)));
        return controller.signal;
      },
      onReady: (ready) => {
        node.agent.ready = ready;
      },
    },
    {
      openSubnetManager: (options) => openSubnetManager(mutation, node, options),
      openKernel: () => openKernel(mutation, node),
      openTrafficManager: ({ signal, ...parts }) =>
        openTrafficManager({
          ...parts,
          command: new NodeCommand({ signal }),
          watchRules,
          ruleGeneration: openRuleGeneration(),
          legacyRules: openLegacyRules(),
        }),
      files: mutation.wrapFiles?.(files, node) ?? files,
      lockInstance,
      lockForCleanup,
      sendDatagram,
      clock: mutation.wrapClock?.(clock, node) ?? clock,
      random: new CryptoRandom(),
    },
  );
}

async function main([name = "", ...argv]: readonly string[]): Promise<number> {
  if (name === "--mutations") {
    const lines = NAMED_MUTATIONS.map((one) => `${one.name} ${one.invariant}\n`);
    process.stdout.write(lines.join(""));
    return 0;
  }
  const mutation = NAMED_MUTATIONS.find((one) => one.name === name);
  if (mutation !== undefined) return runMutant(mutation.wrap, argv);
  process.stderr.write(`there is no mutation "${name}": see --mutations\n`);
  return EXIT_BAD_FLAGS;
}

// As the agent's own main does: a connection attempt under way would hold the process.
process.exit(await main(process.argv.slice(2)));
