/** Changes of the port as netlink requests, and netlink's refusals as the port's errors. */
import {
  CodecError,
  type LinkSettings,
  NetlinkError,
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
import type {
  Change,
  ChangeResult,
  KernelObject,
  Link,
  Sysctl,
  VxlanAttributes,
} from "./kernel.ts";
import { LinkNames, linkOf, splitCidr } from "./netlink-objects.ts";
import { errorCode } from "./netlink-sysctls.ts";
import type { Sysctls } from "./netlink-sysctls.ts";
import { INCOMPATIBLE_LINK, refusedChange } from "./print.ts";
import type { Refusal } from "./print.ts";

/** An object that lives on a link that is there already. */
type Carried = Exclude<KernelObject, Link | Sysctl>;
type CarriedChange = Change & { readonly object: Carried };

/** What the kernel says to the removal of what is not there. Source: spec 05 section 2.5. */
const ABSENT: Record<Carried["kind"], string> = {
  address: "EADDRNOTAVAIL",
  neighbour: "ENOENT",
  fdb: "ENOENT",
  route: "ESRCH",
};

export class NetlinkWriter {
  readonly #socket: RouteSocket;
  readonly #sysctls: Sysctls;

  constructor(socket: RouteSocket, sysctls: Sysctls) {
    this.#socket = socket;
    this.#sysctls = sysctls;
  }

  /**
   * Runs of carried objects go in one batch; a link is read before it is written, so each takes its own exchange.
   * @throws NetlinkError when the socket cannot be used
   */
  async apply(changes: readonly Change[]): Promise<readonly ChangeResult[]> {
    const results: ChangeResult[] = [];
    let run: CarriedChange[] = [];
    const flush = async (): Promise<void> => {
      results.push(...(await this.#applyCarried(run)));
      run = [];
    };
    for (const change of changes) {
      if (isCarried(change)) run.push(change);
      else {
        await flush();
        results.push(result(change, await this.#applyAlone(change)));
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

  async #applyCarried(changes: readonly CarriedChange[]): Promise<readonly ChangeResult[]> {
    if (changes.length === 0) return [];
    const links = new Map((await this.#socket.links()).map((link) => [link.name, link]));
    const requests: Request[] = [];
    const refusals: (Refusal | undefined)[] = [];
    const sent: number[] = [];
    for (const [index, { action, object }] of changes.entries()) {
      const link = links.get(object.link);
      if (link === undefined) {
        if (action === "put") refusals[index] = { code: "ENODEV" };
      } else if (object.kind === "fdb" && link.kind !== "vxlan") {
        // Other devices take it for a further address of their own, and ignore the destination.
        if (action === "put") refusals[index] = { code: "EOPNOTSUPP" };
      } else {
        requests.push(requestFor(action, object, link.index));
        sent.push(index);
      }
    }
    const answers = await this.#execute(requests);
    for (const [position, index] of sent.entries()) refusals[index] = answers[position];
    return changes.map((change, index) => {
      const refusal = refusals[index];
      const absent = change.action === "remove" && refusal?.code === ABSENT[change.object.kind];
      return result(change, absent ? undefined : refusal);
    });
  }

  /** One refusal for each request. A value that netlink has no room for spoils a whole batch, so then they go one by one. */
  async #execute(requests: readonly Request[]): Promise<readonly (Refusal | undefined)[]> {
    try {
      return (await this.#socket.execute(requests)).map(refusalOf);
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      if (requests.length === 1) return [{ code: "EINVAL", detail: error.message, cause: error }];
    }
    const refusals: (Refusal | undefined)[] = [];
    for (const request of requests) refusals.push(...(await this.#execute([request])));
    return refusals;
  }

  /** All are tried; the first refusal counts. */
  async #executeAll(requests: readonly Request[]): Promise<Refusal | undefined> {
    return (await this.#execute(requests)).find((refusal) => refusal !== undefined);
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
  const settings: LinkSettings[] = [];
  if (actual.mac !== wanted.mac) settings.push({ mac: wanted.mac });
  if (actual.mtu !== wanted.mtu) settings.push({ mtu: wanted.mtu });
  if (actual.up !== wanted.up) settings.push({ up: wanted.up });
  const requests = settings.map((setting) => changeLink(name, setting));
  if (wanted.vxlan !== undefined && actual.vxlan?.learning !== wanted.vxlan.learning)
    requests.push(learningRequest(wanted.name, wanted.vxlan));
  return requests;
}

/** linux/netlink.h NLM_F_REQUEST: without NLM_F_CREATE a link message changes the link that is there. */
const CHANGE_ONLY = 0x001;

/** Equivalent to `ip link set NAME type vxlan learning` or `nolearning`. */
function learningRequest(name: string, { vni, learning }: VxlanAttributes): Request {
  return { ...addLink({ name, kind: "vxlan", vxlan: { id: vni, learning } }), flags: CHANGE_ONLY };
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
    case "route": {
      const { destination, gateway, onlink, protocol } = object;
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

function isCarried(change: Change): change is CarriedChange {
  return change.object.kind !== "link" && change.object.kind !== "sysctl";
}

function refusalOf(error: NetlinkError | undefined): Refusal | undefined {
  return error === undefined ? undefined : { code: error.code, detail: error.detail, cause: error };
}

function result(change: Change, refusal: Refusal | undefined): ChangeResult {
  return refusal === undefined ? { change } : { change, error: refusedChange(change, refusal) };
}
