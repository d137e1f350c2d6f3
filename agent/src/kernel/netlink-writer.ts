/** Changes of the port as netlink requests, and netlink's refusals as the port's errors. */
import {
  CodecError,
  type Link as LinuxLink,
  type LinkChanges,
  type Refusal as LinuxRefusal,
  type Request,
  type RouteSocket,
  addLink,
  changeLink,
  putAddress,
  putFdbEntry,
  putNeighbour,
  putRoute,
  removeAddress,
  removeFdbEntry,
  removeLink,
  removeNeighbour,
  removeRoute,
} from "linux";
import { isCompatible } from "./identity.ts";
import { BLACKHOLE_METRIC, ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type {
  Change,
  ChangeResult,
  KernelObject,
  Link,
  Sysctl,
  VxlanAttributes,
} from "./kernel.ts";
import { LinkNames, linkOf, splitCidr } from "./netlink-objects.ts";
import { nexthopRequest } from "./netlink-nexthops.ts";
import { errorCode } from "./netlink-sysctls.ts";
import type { Sysctls } from "./netlink-sysctls.ts";
import { INCOMPATIBLE_LINK, NEXTHOP_WITHOUT_GATEWAY, refusedChange } from "./print.ts";
import type { Refusal } from "./print.ts";

/** An object that lives on a link that is there already, or on none. */
type Carried = Exclude<KernelObject, Link | Sysctl>;
type CarriedChange = Change & { readonly object: Carried };

/** Written in about a millisecond. */
const GROUP_CHANGES = 512;

/** So many links are asked for one by one faster than all are dumped. */
const FEW_LINKS = 8;

/** What the kernel says to the removal of what is not there. Source: spec 05 section 2.5. */
const ABSENT: Record<Carried["kind"], string> = {
  address: "EADDRNOTAVAIL",
  neighbour: "ENOENT",
  fdb: "ENOENT",
  nexthop: "ENOENT",
  route: "ESRCH",
  blackhole: "ESRCH",
};

export class NetlinkWriter {
  readonly #socket: RouteSocket;
  readonly #sysctls: Sysctls;
  /** By name, as long as somebody would be told of another one; undefined while nobody is. */
  #known: Map<string, LinuxLink> | undefined;

  constructor(socket: RouteSocket, sysctls: Sysctls) {
    this.#socket = socket;
    this.#sysctls = sysctls;
  }

  /**
   * From now on links that were looked up count as they were until `forgetLinks`, which has to follow each change of a link: a pass
   * over one peer would ask three times else. One that is late names a device that is gone, which the kernel refuses: it gives no
   * index twice. Undone by `watched` false.
   */
  trustLinks(watched: boolean): void {
    this.#known = watched ? new Map() : undefined;
  }

  /** A link has changed. */
  forgetLinks(): void {
    this.#known?.clear();
  }

  /**
   * Runs of carried objects go in one batch; a link is read before it is written, so each takes its own exchange.
   * @throws NetlinkError when the socket cannot be used
   */
  async apply(changes: readonly Change[]): Promise<readonly ChangeResult[]> {
    const results: ChangeResult[] = [];
    let run: CarriedChange[] = [];
    const flush = async (): Promise<void> => {
      await this.#applyCarried(run, results);
      run = [];
    };
    for (let index = 0; index < changes.length; index++) {
      const change = changes[index];
      if (change === undefined) continue;
      if (isCarried(change)) run.push(change);
      else {
        await flush();
        results.push(resultOf(change, await this.#applyAlone(change)));
      }
    }
    await flush();
    return results;
  }

  #applyAlone({ action, object }: Change): Promise<Refusal | undefined> {
    if (object.kind === "link")
      return action === "put" ? this.#putLink(object) : this.#removeLink(object);
    if (object.kind === "sysctl" && action === "put") return this.#putSysctl(object);
    return Promise.resolve({ code: "EPERM", detail: `a ${object.kind} cannot be removed` });
  }

  /**
   * Groups are written while the kernel is busy with the ones before them, and reach it in order; results are added in that order,
   * though a group of which nothing can be asked is done at once.
   */
  async #applyCarried(changes: readonly CarriedChange[], results: ChangeResult[]): Promise<void> {
    if (changes.length === 0) return;
    const links = await this.#linksOf(changes);
    let before: Promise<readonly ChangeResult[]> = Promise.resolve([]);
    for (let start = 0; start < changes.length; start += GROUP_CHANGES) {
      const group = this.#applyGroup(changes.slice(start, start + GROUP_CHANGES), links);
      // Whatever it fails with is thrown when it is its turn, unless the one before it failed.
      group.catch(() => undefined);
      results.push(...(await before));
      before = group;
    }
    results.push(...(await before));
  }

  /** By name. As a rule they are one or two, on a node that has one for every pod: those are asked for alone. */
  async #linksOf(changes: readonly CarriedChange[]): Promise<ReadonlyMap<string, LinuxLink>> {
    const links = new Map<string, LinuxLink>();
    const unknown = new Set<string>();
    let last = "";
    for (let index = 0; index < changes.length; index++) {
      const change = changes[index];
      const name = change === undefined ? "" : linkNameOf(change.object);
      if (name === "" || name === last || links.has(name)) continue;
      last = name;
      const known = this.#known?.get(name);
      if (known === undefined) unknown.add(name);
      else links.set(name, known);
    }
    for (const link of await this.#lookUp(unknown)) {
      links.set(link.name, link);
      this.#known?.set(link.name, link);
    }
    return links;
  }

  async #lookUp(names: ReadonlySet<string>): Promise<readonly LinuxLink[]> {
    if (names.size > FEW_LINKS) return this.#socket.links();
    const links = await Promise.all([...names].map((name) => this.#socket.link({ name })));
    return links.filter((link) => link !== undefined);
  }

  async #applyGroup(
    changes: readonly CarriedChange[],
    links: ReadonlyMap<string, LinuxLink>,
  ): Promise<readonly ChangeResult[]> {
    const requests: Request[] = [];
    const obstacles = new Map<CarriedChange, Refusal>();
    for (let index = 0; index < changes.length; index++) {
      const change = changes[index];
      if (change === undefined) continue;
      const link = links.get(linkNameOf(change.object));
      const obstacle = obstacleTo(change, link);
      if (obstacle === undefined)
        requests.push(requestFor(change.action, change.object, link?.index ?? 0));
      else obstacles.set(change, obstacle);
    }
    const answers = await this.#socket.execute(requests);
    const results: ChangeResult[] = [];
    let answered = 0;
    for (let index = 0; index < changes.length; index++) {
      const change = changes[index];
      if (change === undefined) continue;
      const obstacle = obstacles.size === 0 ? undefined : obstacles.get(change);
      const refusal = obstacle ?? refusalOf(answers[answered]);
      if (obstacle === undefined) answered++;
      const isNone = obstacle === undefined ? isAbsence(change, refusal) : change.action !== "put";
      results.push(resultOf(change, isNone ? undefined : refusal));
    }
    return results;
  }

  /** All are tried; the first refusal counts. */
  async #executeAll(requests: readonly Request[]): Promise<Refusal | undefined> {
    const refusals = await this.#socket.execute(requests);
    return refusalOf(refusals.find((refusal) => refusal !== undefined));
  }

  async #putLink(link: Link): Promise<Refusal | undefined> {
    const links = await this.#socket.links();
    const found = links.find(({ name }) => name === link.name);
    if (found === undefined) {
      const lower = links.find(({ name }) => name === link.vxlan?.lowerLink);
      if (link.vxlan === undefined) return { code: "EOPNOTSUPP", detail: "Unknown device type." };
      if (lower === undefined)
        return { code: "ENODEV", detail: `there is no interface ${link.vxlan.lowerLink}` };
      return this.#executeAll([newVxlan(link, link.vxlan, lower.index)]);
    }
    const actual = linkOf(found, new LinkNames(links));
    if (!isCompatible(actual, link)) return INCOMPATIBLE_LINK;
    return this.#executeAll(adjustments(actual, link));
  }

  async #removeLink({ name }: Link): Promise<Refusal | undefined> {
    const refusal = await this.#executeAll([removeLink({ name })]);
    return refusal?.code === "ENODEV" ? undefined : refusal;
  }

  async #putSysctl({ path, value, optional }: Sysctl): Promise<Refusal | undefined> {
    try {
      await this.#sysctls.write(path, value);
      return undefined;
    } catch (error) {
      const code = errorCode(error);
      if (code === undefined) throw error;
      return code === "ENOENT" && optional === true ? undefined : { code, cause: error };
    }
  }
}

/**
 * Made and set up in one message: when UDP port or address are taken the kernel leaves nothing half-made.
 * Equivalent to `ip link add NAME address MAC mtu MTU txqueuelen 0 up type vxlan id VNI dev LOWER local IP dstport PORT nolearning`.
 * Source: spec 05 sections 2.2 and 13.
 */
function newVxlan(link: Link, vxlan: VxlanAttributes, lowerIndex: number): Request {
  return addLink({
    name: link.name,
    mac: link.mac,
    mtu: link.mtu,
    up: link.up,
    transmitQueueLength: 0,
    kind: "vxlan",
    vxlan: {
      id: vxlan.vni,
      lowerIndex,
      local: vxlan.local,
      port: vxlan.port,
      ttl: 0,
      tos: 0,
      learning: vxlan.learning,
      proxy: false,
      routeShortCircuit: false,
      l2miss: false,
      l3miss: false,
      zeroChecksumTransmit: false,
      zeroChecksumReceive: false,
      gbp: vxlan.gbp,
    },
  });
}

/** One request for each attribute that differs, so that one refused value keeps no other from being corrected. */
function adjustments(actual: Link, wanted: Link): readonly Request[] {
  const name = { name: wanted.name };
  const settings: LinkChanges[] = [];
  if (actual.mac !== wanted.mac) settings.push({ mac: wanted.mac });
  if (actual.mtu !== wanted.mtu) settings.push({ mtu: wanted.mtu });
  if (actual.up !== wanted.up) settings.push({ up: wanted.up });
  if (wanted.vxlan !== undefined && actual.vxlan?.learning !== wanted.vxlan.learning)
    settings.push({ vxlan: { id: wanted.vxlan.vni, learning: wanted.vxlan.learning } });
  return settings.map((setting) => changeLink(name, setting));
}

function requestFor(action: Change["action"], object: Carried, linkIndex: number): Request {
  const isPut = action === "put";
  switch (object.kind) {
    case "address":
      return (isPut ? putAddress : removeAddress)({ linkIndex, ...splitCidr(object.address) });
    case "neighbour": {
      const { address, mac } = object;
      return (isPut ? putNeighbour : removeNeighbour)({ linkIndex, address, mac });
    }
    case "fdb": {
      const { mac, destination } = object;
      return (isPut ? putFdbEntry : removeFdbEntry)({ linkIndex, mac, destination });
    }
    case "nexthop":
      return nexthopRequest(action, object, linkIndex);
    case "blackhole":
      return (isPut ? putRoute : removeRoute)({
        destination: object.destination,
        type: "blackhole",
        protocol: ROUTE_PROTOCOL_TWILL,
        metric: BLACKHOLE_METRIC,
      });
    case "route": {
      const { destination, gateway, onlink, protocol, nexthop } = object;
      if (nexthop !== undefined)
        return (isPut ? putRoute : removeRoute)({ destination, nexthopId: nexthop, protocol });
      return (isPut ? putRoute : removeRoute)({
        destination,
        ...(gateway === undefined ? {} : { gateway }),
        linkIndex,
        onlink,
        protocol,
      });
    }
  }
}

/** Why a change cannot even be asked for; then there is nothing to remove either. */
function obstacleTo(change: CarriedChange, link: LinuxLink | undefined): Refusal | undefined {
  const { action, object } = change;
  // Named by its id; and so is the way of a route over a nexthop object.
  if (object.kind === "nexthop" && action === "remove") return undefined;
  if (object.kind === "route" && object.nexthop !== undefined) return undefined;
  if (object.kind === "blackhole") return undefined;
  if (object.kind === "nexthop" && object.gateway === undefined) return NEXTHOP_WITHOUT_GATEWAY;
  if (link === undefined) return { code: "ENODEV" };
  // Other devices take it for a further address of their own, and ignore the destination.
  return object.kind === "fdb" && link.kind !== "vxlan" ? { code: "EOPNOTSUPP" } : undefined;
}

/** Whether a removal was refused because there is nothing to remove. */
function isAbsence({ action, object }: CarriedChange, refusal: Refusal | undefined): boolean {
  if (action !== "remove") return false;
  // Said of an id that nobody has. Source: net/ipv4/fib_frontend.c inet_rtm_delroute, net/ipv6/route.c inet6_rtm_delroute.
  if (object.kind === "route" && object.nexthop !== undefined && refusal?.code === "EINVAL")
    return true;
  return refusal?.code === ABSENT[object.kind];
}

/** Empty for what is on none. */
function linkNameOf(object: Carried): string {
  return object.kind === "blackhole" ? "" : object.link;
}

function isCarried(change: Change): change is CarriedChange {
  return change.object.kind !== "link" && change.object.kind !== "sysctl";
}

function refusalOf(error: LinuxRefusal): Refusal | undefined {
  if (error === undefined) return undefined;
  const detail = error instanceof CodecError ? error.message : error.detail;
  return { code: error.code, detail, cause: error };
}

const DONE: ChangeResult = {};

function resultOf(change: Change, refusal: Refusal | undefined): ChangeResult {
  return refusal === undefined ? DONE : { error: refusedChange(change, refusal) };
}
