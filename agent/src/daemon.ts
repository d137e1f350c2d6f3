/**
 * The life of an agent, over ports only:
 *
 *   network config → external interface → backend opens → own device → own lease → peers → kernel equals the leases
 *     → subnet.env → ready → { peers | kernel events | sweep } until the signal → data path left up
 */
import { AgentError } from "./core/errors.ts";
import { chooseExternalInterface } from "./core/external-interface.ts";
import type { ExternalInterface, InterfaceWishes } from "./core/external-interface.ts";
import { parseIp } from "./core/ip.ts";
import type { Ip } from "./core/ip.ts";
import type { Lease } from "./core/lease.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import { formatSubnetFile, parseSubnetFile } from "./core/subnet-file.ts";
import type { PreviousSubnets } from "./core/subnet-file.ts";
import type { Backend, BackendDefinition } from "./backends/backend.ts";
import { openReconciler } from "./daemon-loop.ts";
import type { Reconciler } from "./daemon-loop.ts";
import type { Kernel, KernelObject } from "./kernel/kernel.ts";
import type { SubnetManager } from "./subnet-manager/subnet-manager.ts";
import type { Clock } from "./system/clock.ts";
import type { Files } from "./system/files.ts";
import type { Log } from "./system/log.ts";
import type { Random } from "./system/random.ts";
import { together } from "./together.ts";

export interface DaemonPorts {
  readonly subnetManager: SubnetManager;
  readonly kernel: Kernel;
  /** By `BackendDefinition.type`. */
  readonly backends: ReadonlyMap<string, BackendDefinition>;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface DaemonOptions {
  readonly interfaceWishes: InterfaceWishes;
  readonly subnetFile: string;
  /** Told whenever readiness changes. */
  readonly onReady: (ready: boolean) => void;
}

/** Source: spec 01 section 6.1. */
const SUBNET_FILE_MODE = 0o644;
const SUBNET_FILE_RETRY_MS = 1_000;

/**
 * Runs until the signal aborts, then leaves the data path up and resolves.
 * @throws AgentError whatever makes it impossible to start, and "lease-lost" when another node took our subnet
 */
export async function runDaemon(
  options: DaemonOptions,
  ports: DaemonPorts,
  signal: AbortSignal,
): Promise<void> {
  try {
    await live(options, ports, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    options.onReady(false);
  }
}

async function live(
  options: DaemonOptions,
  ports: DaemonPorts,
  signal: AbortSignal,
): Promise<void> {
  const { subnetManager, log } = ports;
  const config = await subnetManager.networkConfig(signal);
  log.info(
    { type: config.backendType },
    `Found network config - Backend type: ${config.backendType}`,
  );
  const definition = findBackend(config.backendType, ports.backends);
  const externalInterface = await chooseInterface(options.interfaceWishes, config, ports);
  const previousLease = await subnetManager.previousLease(externalInterface.publicIps, signal);
  const backend = await definition.open({
    networkConfig: config,
    previousLease,
    externalInterface,
    kernel: ports.kernel,
    random: ports.random,
    log: log.child({ room: "backend" }),
  });
  try {
    await serve(options, ports, { config, backend }, signal);
  } finally {
    await backend.close();
  }
}

async function serve(
  options: DaemonOptions,
  ports: DaemonPorts,
  { config, backend }: { readonly config: NetworkConfig; readonly backend: Backend },
  signal: AbortSignal,
): Promise<void> {
  const { subnetManager, log } = ports;
  let own: Lease | undefined;
  const previous = await readPrevious(options.subnetFile, ports);
  const reconciler = openReconciler({
    ...ports,
    backend,
    own: () => own,
    previousNetworks: Object.values(previous.networks),
  });
  const device = await makeDevice(backend, reconciler, ports.kernel);
  try {
    own = await subnetManager.acquireLease(config, backend.attributes, previous.subnets, signal);
  } catch (error) {
    await device.undo();
    throw error;
  }
  log.info({ subnets: own.subnets, publicIps: own.publicIps }, "lease acquired");
  const lease = own;

  await together(signal, [
    (stop) => subnetManager.keepLease(lease, stop),
    (stop) => followPeers(options, ports, { config, backend, reconciler, own: lease }, stop),
  ]);
}

/** The part of the life that begins with the first whole list of peers. */
async function followPeers(
  options: DaemonOptions,
  ports: DaemonPorts,
  life: {
    readonly config: NetworkConfig;
    readonly backend: Backend;
    readonly reconciler: Reconciler;
    readonly own: Lease;
  },
  signal: AbortSignal,
): Promise<void> {
  const firstPeers = Promise.withResolvers<void>();
  await together(signal, [
    async (stop) => {
      try {
        for await (const peers of ports.subnetManager.watchPeers(life.own, stop)) {
          ports.log.debug({ peers: peers.length }, "peers changed");
          life.reconciler.setPeers(peers);
          firstPeers.resolve();
        }
      } finally {
        // The other task waits for this; it then looks at the signal.
        firstPeers.resolve();
      }
      stop.throwIfAborted();
    },
    async (stop) => {
      await firstPeers.promise;
      stop.throwIfAborted();
      // Refused changes of single peers keep nobody from being ready: the loop goes on trying them.
      await life.reconciler.pass();
      await publish(options, ports, life, stop);
      options.onReady(true);
      ports.log.info({}, "flannel is ready");
      ports.log.info({}, "Running backend.");
      await life.reconciler.run(stop);
    },
  ]);
}

function findBackend(
  type: string,
  backends: ReadonlyMap<string, BackendDefinition>,
): BackendDefinition {
  const found = backends.get(type);
  if (found !== undefined) return found;
  const known = [...backends.keys()].toSorted().join(", ");
  throw new AgentError(
    "config-invalid",
    `unknown backend type: ${JSON.stringify(type)} in the network config; known are ${known}`,
  );
}

async function chooseInterface(
  wishes: InterfaceWishes,
  config: NetworkConfig,
  { kernel, log }: DaemonPorts,
): Promise<ExternalInterface> {
  const facts = await kernel.interfaces();
  const target = canReach(wishes);
  const [reach] = target === undefined ? [] : await kernel.routesTo([target]);
  const chosen = chooseExternalInterface({ wishes, config, ...facts, reach });
  const addresses = Object.values(chosen.addresses).join(" and ");
  log.info(
    { mtu: chosen.mtu, publicIps: chosen.publicIps },
    `Using interface with name ${chosen.name} and address ${addresses}`,
  );
  return chosen;
}

function canReach(wishes: InterfaceWishes): Ip | undefined {
  return wishes.canReach === "" ? undefined : parseIp(wishes.canReach);
}

/**
 * The device exists before the lease, so that a node that cannot carry traffic takes no subnet. `undo` removes what was
 * made here, and leaves what a predecessor had made.
 */
async function makeDevice(
  backend: Backend,
  reconciler: Reconciler,
  kernel: Kernel,
): Promise<{ undo(): Promise<void> }> {
  const { scope } = backend.plan({ own: undefined, peers: [], routes: new Map() });
  const found = new Set(linkNames(await kernel.dump(scope)));
  const undo = async (): Promise<void> => {
    const made = (await kernel.dump(scope)).filter(
      (object) => object.kind === "link" && !found.has(object.name),
    );
    await kernel.apply(made.map((object) => ({ action: "remove", object })));
  };
  const [refused] = await reconciler.pass();
  if (refused === undefined) return { undo };
  await undo();
  throw refused;
}

function linkNames(objects: readonly KernelObject[]): readonly string[] {
  return objects.flatMap((object) => (object.kind === "link" ? [object.name] : []));
}

/** What subnet.env says this node had; a file that cannot be read costs only the preference. */
async function readPrevious(
  path: string,
  { files, log }: DaemonPorts,
): Promise<Pick<PreviousSubnets, "networks" | "subnets">> {
  try {
    const text = await files.read(path);
    if (text === undefined) return NOTHING_BEFORE;
    const previous = parseSubnetFile(text);
    for (const warning of previous.warnings) log.warn({ path }, warning);
    return previous;
  } catch (error) {
    log.warn({ path, err: error }, "cannot read the previous subnet, asking for any");
    return NOTHING_BEFORE;
  }
}

const NOTHING_BEFORE = { networks: {}, subnets: {} };

/** Writes subnet.env, again and again until it is written: without it no pod can start. */
async function publish(
  { subnetFile }: DaemonOptions,
  { files, clock, log }: DaemonPorts,
  {
    config,
    backend,
    own,
  }: { readonly config: NetworkConfig; readonly backend: Backend; readonly own: Lease },
  signal: AbortSignal,
): Promise<void> {
  const text = formatSubnetFile({ config, subnets: own.subnets, mtu: backend.mtu, ipMasq: false });
  for (let said = false; ; said = true) {
    try {
      await files.writeAtomically(subnetFile, text, SUBNET_FILE_MODE);
      log.info({}, `Wrote subnet file to ${subnetFile}`);
      return;
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      if (!said)
        log.error({ err: error }, "Failed to write subnet file: trying again every second");
      await clock.sleep(SUBNET_FILE_RETRY_MS, signal);
    }
  }
}
