/**
 * vxlan: pod packets travel as Ethernet frames inside UDP between the nodes' public IPs (RFC 7348).
 *
 *   pod ─ cni0 ─ route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink      which node: its subnet's first address stands for it
 *                  └─ neighbour 10.42.2.0 → 0e:…:02                          that node's VTEP MAC, from its lease
 *                       └─ FDB 0e:…:02 → 192.0.2.2                           the public IP behind the MAC
 *                            └─ UDP 8472 to 192.0.2.2, out of the external interface
 *
 * Each enabled family has a device of its own, `flannel.<VNI>` and `flannel-v6.<VNI>`, whose packets travel over that family. A peer
 * costs one route, one neighbour and one FDB entry for each family; nothing is learned and nothing is flooded.
 * With DirectRouting a peer on the node's own segment costs one plain route `via PUBLIC-IP` and no overhead; the others are
 * encapsulated.
 *
 * A device that is deleted takes all its entries along. The next pass makes it again with the same MAC, which is why the MAC is
 * fixed while the backend is open and published in the lease, and puts every peer back: nothing here reacts to an event, it
 * only says what should be there. A device that is not what we want (VNI, port, source address, lower device) is replaced;
 * MTU, learning and MAC of a good one are corrected while it carries packets. When the external interface has another address, `onto`
 * wishes for the device with that source and the same MAC, so that the next pass replaces it with its peers at once.
 *
 * Unlike the reference the tunnel's source is the interface's own address, so that a node behind NAT can send (spec 10 V2), and the
 * published MTU is that of the smaller device (V6).
 */
import { AgentError } from "../../core/errors.ts";
import type { Family, PerFamily } from "../../core/ip.ts";
import { localMac } from "../../core/mac.ts";
import type { Mac } from "../../core/mac.ts";
import type { Kernel, Link } from "../../kernel/kernel.ts";
import { isCompatible } from "../../kernel/reconcile.ts";
import { enabledFamilies, wholePlan } from "../backend.ts";
import type { Backend, BackendContext, BackendDefinition } from "../backend.ts";
import { formatVxlanData, parseVxlanData, parseVxlanOptions } from "./config.ts";
import type { VxlanOptions } from "./config.ts";
import { TYPE, deviceName, vxlanPlanner } from "./plan.ts";
import type { VxlanSetup } from "./plan.ts";

/**
 * Bytes that encapsulation adds: outer IPv4 (20) or IPv6 (40), UDP (8), VXLAN (8), inner Ethernet (14).
 * Source: RFC 7348 section 5, linux/vxlan.h VXLAN_HEADROOM, VXLAN6_HEADROOM.
 */
const OVERHEAD_BYTES: Record<Family, number> = { 4: 50, 6: 70 };
/** Below these a device carries no packets of the family. Source: RFC 791 section 3.2, RFC 8200 section 5. */
const SMALLEST_MTU: Record<Family, number> = { 4: 68, 6: 1280 };
/** IFNAMSIZ without the zero byte at its end. Source: linux/if.h. */
const LINK_NAME_LIMIT = 15;

export const vxlan: BackendDefinition = { type: TYPE, open: openVxlan };

async function openVxlan(context: BackendContext): Promise<Backend> {
  const options = parseVxlanOptions(context.networkConfig.backendOptions, context.log);
  return vxlanOn(context, { options, devices: await openDevices(context, options) });
}

/** What an open backend keeps, on whatever interface. */
interface Opened {
  readonly options: VxlanOptions;
  readonly devices: PerFamily<Link>;
}

function vxlanOn(context: BackendContext, opened: Opened): Backend {
  const { networkConfig: config, externalInterface } = context;
  const { options, devices } = opened;
  warnOfLargeMtu(context, options);
  const setup: VxlanSetup = {
    config,
    vni: options.vni,
    directRouting: options.directRouting,
    devices,
  };
  const wanted = Object.values(devices);
  const planner = vxlanPlanner(setup);
  return {
    attributes: {
      publicIps: externalInterface.publicIps,
      backendType: TYPE,
      backendData: mapFamilies(devices, ({ mac }) => formatVxlanData(options.vni, mac)),
    },
    mtu: Math.min(...wanted.map(({ mtu }) => mtu)),
    lookups: (peers) =>
      options.directRouting
        ? [...new Set(peers.flatMap(({ publicIps }) => Object.values(publicIps)))]
        : [],
    planner,
    plan: (input) => wholePlan(planner, input),
    onto(next) {
      const moved = { ...context, externalInterface: next };
      const draft = (family: Family): Link => draftDevice(moved, options, family);
      const same = mapFamilies(devices, ({ mac }, family) => ({ ...draft(family), mac }));
      return vxlanOn(moved, { ...opened, devices: same });
    },
    close: () => Promise.resolve(),
  };
}

function warnOfLargeMtu({ externalInterface, log }: BackendContext, { mtu }: VxlanOptions): void {
  if (mtu === undefined || mtu <= externalInterface.mtu) return;
  log.warn(
    { wanted: mtu, interface: externalInterface.name, mtu: externalInterface.mtu },
    "option MTU is larger than the interface's, using the interface's",
  );
}

/** The devices as they shall be, each with the MAC it keeps while the backend is open. */
async function openDevices(
  context: BackendContext,
  options: VxlanOptions,
): Promise<PerFamily<Link>> {
  const families = enabledFamilies(context.networkConfig);
  const names = families.map((family) => deviceName(family, options.vni));
  const found = await existingLinks(context.kernel, names);
  const devices: Partial<Record<Family, Link>> = {};
  for (const family of families) {
    const draft = draftDevice(context, options, family);
    const existing = found.find((link) => isCompatible(link, draft));
    const kept = existing?.mac ?? previousMac(context, family);
    const mac =
      kept === undefined || isPublished(kept, context, family)
        ? localMac(context.random.bytes(6))
        : kept;
    devices[family] = { ...draft, mac };
  }
  return devices;
}

async function existingLinks(kernel: Kernel, names: readonly string[]): Promise<readonly Link[]> {
  const objects = await kernel.dump({ links: names, networks: [], sysctls: [] });
  return objects.filter((object) => object.kind === "link");
}

/** What a device without a MAC yet has. */
const NO_MAC = localMac(new Uint8Array(6));

/** @throws AgentError "config-invalid" */
function draftDevice(context: BackendContext, options: VxlanOptions, family: Family): Link {
  const { externalInterface } = context;
  const { [family]: local } = externalInterface.addresses;
  if (local === undefined || externalInterface.publicIps[family] === undefined)
    throw new AgentError(
      "config-invalid",
      `interface ${externalInterface.name} has no IPv${family} address, but the network config enables IPv${family}`,
    );
  const name = deviceName(family, options.vni);
  if (name.length > LINK_NAME_LIMIT)
    throw new AgentError(
      "config-invalid",
      `Backend vxlan: VNI ${options.vni} makes the device name ${name}: at most ${LINK_NAME_LIMIT} letters, choose a smaller VNI`,
    );
  return {
    kind: "link",
    name,
    type: "vxlan",
    mac: NO_MAC,
    mtu: deviceMtu(context, options, family),
    up: true,
    vxlan: {
      vni: options.vni,
      port: options.port,
      local,
      lowerLink: externalInterface.name,
      learning: options.learning,
      gbp: options.gbp,
    },
  };
}

/** @throws AgentError "config-invalid" */
function deviceMtu(
  { externalInterface }: BackendContext,
  { mtu: wanted }: VxlanOptions,
  family: Family,
): number {
  const { name, mtu: largest } = externalInterface;
  // Linux would cut a larger one down, and pods would be told a MTU that does not fit.
  const outer = Math.min(wanted ?? largest, largest);
  const mtu = outer - OVERHEAD_BYTES[family];
  if (mtu >= SMALLEST_MTU[family]) return mtu;
  const least = SMALLEST_MTU[family] + OVERHEAD_BYTES[family];
  throw new AgentError(
    "config-invalid",
    wanted === undefined
      ? `interface ${name} has MTU ${largest}: vxlan over IPv${family} needs at least ${least}`
      : `Backend vxlan: MTU is ${wanted}: vxlan over IPv${family} needs at least ${least}, on interface ${name} at most ${largest}`,
  );
}

/**
 * Whether a lease of another public IP has the MAC: that of a clone of this machine, or our own of before an address change that an agent
 * did not live to publish. Peers would take two such leases for a mistake and program one of them.
 */
function isPublished(mac: Mac, { otherLeases = [] }: BackendContext, family: Family): boolean {
  return otherLeases.some(
    ({ backendType, backendData }) =>
      backendType === TYPE && tryVtepMac(backendData[family]) === mac,
  );
}

function tryVtepMac(data: unknown): Mac | undefined {
  try {
    return parseVxlanData(data).vtepMac;
  } catch (error) {
    // What another node publishes is judged when it is a peer.
    if (error instanceof AgentError) return undefined;
    throw error;
  }
}

/** From the lease this node held before, so that peers need not learn a new one after a reboot. */
function previousMac({ previousLease, log }: BackendContext, family: Family): Mac | undefined {
  const data = previousLease?.backendType === TYPE ? previousLease.backendData[family] : undefined;
  if (data === undefined) return undefined;
  try {
    return parseVxlanData(data).vtepMac;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    log.warn({ err: error }, "our previous lease has unusable data, choosing a new VTEP MAC");
    return undefined;
  }
}

function mapFamilies<In, Out>(
  values: PerFamily<In>,
  map: (value: In, family: Family) => Out,
): PerFamily<Out> {
  const mapped: Partial<Record<Family, Out>> = {};
  if (values[4] !== undefined) mapped[4] = map(values[4], 4);
  if (values[6] !== undefined) mapped[6] = map(values[6], 6);
  return mapped;
}
