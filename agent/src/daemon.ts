/**
 * The life of an agent, over ports only:
 *
 *   network config → external interface → backend opens → own device → own lease → peers → kernel equals the leases
 *     → subnet.env → ready → { peers | kernel events | sweep } until the signal → data path left up
 *
 * Every pass begins with a look at the external interface (daemon-environment.ts). When it is another one, what follows from it does
 * at once: the plan, and through `present` the lease and subnet.env (daemon-publication.ts).
 */
import { assert } from "./core/assert.ts";
import { AgentError } from "./core/errors.ts";
import { chooseExternalInterface, describeChoice } from "./core/external-interface.ts";
import type { ChosenInterface, InterfaceWishes } from "./core/external-interface.ts";
import type { Cidr } from "./core/ip.ts";
import { Latest } from "./core/latest.ts";
import type { Lease } from "./core/lease.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import { parseSubnetFile } from "./core/subnet-file.ts";
import type { PreviousSubnets } from "./core/subnet-file.ts";
import type { Backend, BackendDefinition } from "./backends/backend.ts";
import { Environment, askMachine } from "./daemon-environment.ts";
import { openReconciler } from "./daemon-loop.ts";
import type { Predecessor, Reconciler } from "./daemon-loop.ts";
import { keepPublished, keepSubnetFile, writeSubnetFile } from "./daemon-publication.ts";
import type { Publisher } from "./daemon-publication.ts";
import { openRuleKeeper } from "./daemon-rules.ts";
import type { RuleKeeper, RuleOptions } from "./daemon-rules.ts";
import { Vitals } from "./daemon-vitals.ts";
import type { Kernel, KernelObject } from "./kernel/kernel.ts";
import { isSame, leftDevices } from "./kernel/reconcile.ts";
import type { SubnetManager } from "./subnet-manager/subnet-manager.ts";
import type { Clock } from "./system/clock.ts";
import type { Files } from "./system/files.ts";
import type { Log } from "./system/log.ts";
import type { Random } from "./system/random.ts";
import { together } from "./together.ts";
import type { TrafficManager } from "./traffic-manager/traffic-manager.ts";

export interface DaemonPorts {
  readonly subnetManager: SubnetManager;
  readonly kernel: Kernel;
  /** By `BackendDefinition.type`. */
  readonly backends: ReadonlyMap<string, BackendDefinition>;
  /** Looks whether the machine is fit for the network, and says what is not; absent where there is no machine. */
  readonly checkMachine?: (config: NetworkConfig) => Promise<void>;
  /** Who holds the rules that the network config asks for; absent where nobody does, and then there are none. */
  readonly openTrafficManager?: (config: NetworkConfig) => TrafficManager;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface DaemonOptions {
  readonly interfaceWishes: InterfaceWishes;
  readonly subnetFile: string;
  /** None when absent. */
  readonly rules?: RuleOptions;
  /** Told whenever readiness changes. */
  readonly onReady: (ready: boolean) => void;
  /** Filled in as the life goes on, for whoever shows it. */
  readonly vitals?: Vitals;
}

/**
 * Runs until the signal aborts, then leaves the data path up and resolves.
 * @throws AgentError whatever makes it impossible to start, and "lease-lost" when another node took our subnet
 */
export async function runDaemon(
  options: DaemonOptions,
  ports: DaemonPorts,
  signal: AbortSignal,
): Promise<void> {
  const { vitals = new Vitals(), onReady } = options;
  vitals.subnetManager = ports.subnetManager;
  vitals.readiness.tell(onReady);
  const stopping = (): void => {
    vitals.stage = "stopping";
    vitals.readiness.set("stopping", true);
  };
  signal.addEventListener("abort", stopping, { once: true });
  try {
    await live({ ...options, vitals }, ports, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", stopping);
    stopping();
  }
}

type VitalOptions = DaemonOptions & { readonly vitals: Vitals };

async function live(options: VitalOptions, ports: DaemonPorts, signal: AbortSignal): Promise<void> {
  const { subnetManager, log } = ports;
  const { vitals } = options;
  const config = await subnetManager.networkConfig(signal);
  vitals.stage = "choosing the external interface";
  log.info(
    { type: config.backendType },
    `Found network config - Backend type: ${config.backendType}`,
  );
  const definition = findBackend(config.backendType, ports.backends);
  await ports.checkMachine?.(config);
  const externalInterface = await chooseInterface(options.interfaceWishes, config, ports);
  const { publicIps } = externalInterface;
  vitals.stage = "making the device";
  const previous = await subnetManager.previousLeases(publicIps, signal);
  const backend = await definition.open({
    networkConfig: config,
    previousLease: previous.own,
    otherLeases: previous.others,
    externalInterface,
    kernel: ports.kernel,
    random: ports.random,
    log: log.child({ room: "backend" }),
  });
  try {
    await serve(options, ports, { config, backend, externalInterface }, signal);
  } finally {
    await backend.close();
  }
}

async function serve(
  options: VitalOptions,
  ports: DaemonPorts,
  start: {
    readonly config: NetworkConfig;
    readonly backend: Backend;
    readonly externalInterface: ChosenInterface;
  },
  signal: AbortSignal,
): Promise<void> {
  const { subnetManager, log } = ports;
  const { vitals } = options;
  const { readiness } = vitals;
  const { config, backend, externalInterface: external } = start;
  let own: Lease | undefined;
  const present = new Latest<Backend>();
  present.set(backend);
  const environment = new Environment(
    { ...ports, config, wishes: options.interfaceWishes },
    { external, backend },
    (moved) => {
      if (own !== undefined) own = { ...own, ...moved.attributes };
      subnetManager.reconnect();
      present.set(moved);
    },
  );
  const previous = await readPrevious(options.subnetFile, ports);
  const reconciler = openReconciler({
    ...ports,
    environment,
    own: () => own,
    predecessor: await findPredecessor(start, Object.values(previous.networks), ports.kernel),
    onBehind: (behind) => readiness.set("kernel behind", behind),
  });
  vitals.parts = { config, reconciler, own: () => own, backend: () => environment.backend };
  const device = await makeDevice(environment, reconciler, ports.kernel);
  vitals.stage = "acquiring a lease";
  try {
    const { attributes } = environment.backend;
    own = await subnetManager.acquireLease(config, attributes, previous.subnets, signal);
  } catch (error) {
    await device.undo();
    throw error;
  }
  log.info({ subnets: own.subnets, publicIps: own.publicIps }, "lease acquired");
  const lease = own;

  vitals.stage = "waiting for the leases of the peers";
  const onHeld = (held: boolean): void => readiness.set("lease missing", !held);
  const rules = openRules(options, ports, { config, lease, previous: previous.networks });
  vitals.rules = rules;
  const life = {
    config,
    reconciler,
    lease,
    present,
    looks: environment.looks,
    vitals,
    rules,
    ipMasq: options.rules?.masquerade === true,
  };
  await together(signal, [
    (stop) => subnetManager.keepLease(lease, onHeld, stop),
    (stop) => followPeers(options.subnetFile, ports, life, stop),
  ]);
}

/** Undefined where nobody holds rules. */
function openRules(
  { rules: options }: DaemonOptions,
  { openTrafficManager, clock, log }: DaemonPorts,
  node: {
    readonly config: NetworkConfig;
    readonly lease: Lease;
    readonly previous: PreviousSubnets["networks"];
  },
): RuleKeeper | undefined {
  const trafficManager = openTrafficManager?.(node.config);
  if (trafficManager === undefined || options === undefined) return undefined;
  const previousNetworks = Object.values(node.previous);
  const room = log.child({ room: "traffic-manager" });
  return openRuleKeeper({ ...node, trafficManager, previousNetworks, options, clock, log: room });
}

/** By its marks: the networks of subnet.env, devices named and addressed as flannel's are, routes of the shape that flannel gives them. */
async function findPredecessor(
  {
    config,
    externalInterface,
  }: { readonly config: NetworkConfig; readonly externalInterface: ChosenInterface },
  previousNetworks: readonly Cidr[],
  kernel: Kernel,
): Promise<Predecessor> {
  const ranges = Object.values(config.ranges);
  const networks = [...new Set([...ranges.map(({ network }) => network), ...previousNetworks])];
  const { interfaces } = await kernel.interfaces();
  const { 4: first, 6: second } = config.ranges;
  const subnetLengths = {
    ...(first === undefined ? {} : { 4: first.subnetLength }),
    ...(second === undefined ? {} : { 6: second.subnetLength }),
  };
  return {
    networks: previousNetworks,
    links: leftDevices(interfaces, networks),
    routes: { link: externalInterface.name, networks, subnetLengths },
  };
}

/** What a node with a lease lives with. */
interface Life {
  readonly config: NetworkConfig;
  readonly reconciler: Reconciler;
  readonly lease: Lease;
  readonly present: Latest<Backend>;
  readonly looks: Latest<undefined>;
  readonly vitals: Vitals;
  readonly rules: RuleKeeper | undefined;
  readonly ipMasq: boolean;
}

/** The part of the life that begins with the first whole list of peers. */
async function followPeers(
  subnetFile: string,
  ports: DaemonPorts,
  life: Life,
  signal: AbortSignal,
): Promise<void> {
  const { reconciler, vitals, rules } = life;
  const firstPeers = Promise.withResolvers<void>();
  await together(signal, [
    async (stop) => {
      try {
        for await (const peers of ports.subnetManager.watchPeers(life.lease, stop)) {
          ports.log.debug({ peers: peers.length }, "peers changed");
          reconciler.setPeers(peers);
          firstPeers.resolve();
        }
      } finally {
        // The other task waits for this; it then looks at the signal.
        firstPeers.resolve();
      }
      stop.throwIfAborted();
    },
    async (stop) => {
      const program = async (): Promise<void> => {
        await firstPeers.promise;
        stop.throwIfAborted();
        vitals.stage = "programming the peers";
        // Refused changes of single peers keep nobody from being ready: the loop goes on trying them.
        await reconciler.pass();
      };
      // Pods that come to be once subnet.env is there find their rules, or the node is not ready.
      const [stands = true] = await Promise.all([rules?.first(stop), program()]);
      vitals.readiness.set("not masquerading", !stands);
      await publish(subnetFile, ports, life, stop);
    },
  ]);
}

/** Tells pods, operators and peers of this node, and keeps that true as long as the loop runs. */
async function publish(
  subnetFile: string,
  ports: DaemonPorts,
  life: Life,
  signal: AbortSignal,
): Promise<void> {
  const { vitals, present } = life;
  const { readiness } = vitals;
  const publisher: Publisher = {
    ...ports,
    ...life,
    subnetFile,
    onRival: (rival) => readiness.set("address taken", rival !== undefined),
  };
  const { value: backend } = present;
  assert(backend !== undefined, "a backend is open");
  await writeSubnetFile(publisher, backend, signal);
  vitals.stage = "running";
  readiness.set("starting", false);
  ports.log.info({}, "flannel is ready");
  ports.log.info({}, "Running backend.");
  await together(signal, [
    (stop) => life.reconciler.run(stop),
    async (stop) => life.rules?.run(() => readiness.set("not masquerading", false), stop),
    (stop) => keepSubnetFile(publisher, backend, stop),
    (stop) => keepPublished(publisher, stop),
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
): Promise<ChosenInterface> {
  const chosen = chooseExternalInterface(await askMachine({ wishes, config, kernel }));
  for (const line of describeChoice(wishes, chosen)) log.info({ mtu: chosen.mtu }, line);
  return chosen;
}

/**
 * The device exists before the lease, so that a node that cannot carry traffic takes no subnet. `undo` removes what was
 * made here, and leaves what a predecessor had made.
 */
async function makeDevice(
  { backend }: Environment,
  reconciler: Reconciler,
  kernel: Kernel,
): Promise<{ undo(): Promise<void> }> {
  const { scope, objects } = backend.plan({ own: undefined, peers: [], routes: new Map() });
  const found = new Set(linkNames(await kernel.dump(scope)));
  const undo = async (): Promise<void> => {
    const made = (await kernel.dump(scope)).filter(
      (object) => object.kind === "link" && !found.has(object.name),
    );
    await kernel.apply(made.map((object) => ({ action: "remove", object })));
  };
  const [refused] = await reconciler.pass();
  if (refused === undefined) return { undo };
  const actual = await kernel.dump(scope);
  const areThere = objects
    .filter((object) => object.kind === "link")
    .every((link) => actual.some((other) => isSame(other, link)));
  // In a container /proc/sys may be read-only. What beside the devices is refused is complained of and tried again.
  if (areThere) return { undo };
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
