/**
 * Where packets go, hop by hop, read from what the kernels of all machines print (invariant D7):
 *
 *   route to the subnet ─► neighbour of its gateway ─► FDB entry of that MAC ─► public IP ─► the machine that has it and its device that MAC
 *   route over the card ─► its gateway, a public IP ─► the machine that has it
 */
import { type Block, blockOf, contains } from "./stored.ts";
import type { SimNode } from "./actors.ts";
import type { PeerSubnet } from "./expected-kernel.ts";

/** More machines than any world has: a way that is longer leads in a circle. */
const MAX_HOPS = 64;

/** A route with a gateway; the kernel's own, to what is on the link, end a way and are left out. */
interface ForwardingRoute {
  readonly block: Block;
  readonly gateway: string;
  readonly link: string;
}

/** As much of a node as packets see. */
export type ForwardingNode = Pick<SimNode, "name" | "publicIp" | "publicIpv6" | "kernel">;

/** What one kernel does with packets for others. */
interface Table {
  readonly node: ForwardingNode;
  readonly routes: readonly ForwardingRoute[];
  /** MACs by `LINK GATEWAY`. */
  readonly neighbours: ReadonlyMap<string, string>;
  /** Public IPs by `LINK MAC`. */
  readonly fdb: ReadonlyMap<string, string>;
  /** `LINK MAC` of each of its devices. */
  readonly devices: ReadonlySet<string>;
}

export interface Way {
  /** Whether the packet ends at the owner. */
  readonly arrives: boolean;
  /** Machines and what happens there, for a report. */
  readonly path: string;
}

/** One packet on the wire. */
interface Hop {
  /** The public IP that it is sent to. */
  readonly to: string;
  /** Which device must take it in there; undefined for the card. */
  readonly device: string | undefined;
}

export class Forwarding {
  readonly #tables = new Map<ForwardingNode, Table>();
  /** By each of its public IPs. */
  readonly #machines = new Map<string, Table>();
  /** Kernels name the same prefixes again and again. */
  readonly #blocks = new Map<string, Block | undefined>();

  constructor(nodes: readonly ForwardingNode[]) {
    for (const node of nodes) {
      const table = this.#read(node);
      this.#tables.set(node, table);
      this.#machines.set(node.publicIp, table);
      this.#machines.set(node.publicIpv6, table);
    }
  }

  /** The way of a packet from a node into a subnet, whose owner may be no machine of this world. */
  way(from: ForwardingNode, { block, owner, publicIp }: PeerSubnet): Way {
    const target = this.#machines.get(owner);
    let table = this.#tables.get(from);
    const path: string[] = [];
    while (table !== undefined && path.length < MAX_HOPS) {
      path.push(table.node.name);
      const route = longest(table, block);
      if (route === undefined)
        return { arrives: table === target, path: `${path.join(" ")} and no further` };
      const hop = hopOver(table, route);
      if (typeof hop === "string") return { arrives: false, path: `${path.join(" ")}: ${hop}` };
      path.push(`-> ${hop.to}`);
      table = this.#machines.get(hop.to);
      if (table === undefined)
        return { arrives: target === undefined && hop.to === publicIp, path: path.join(" ") };
      if (hop.device !== undefined && !table.devices.has(hop.device))
        return { arrives: false, path: `${path.join(" ")}: no ${hop.device}` };
    }
    return { arrives: false, path: `${path.join(" ")}: a loop` };
  }

  #read(node: ForwardingNode): Table {
    const routes: ForwardingRoute[] = [];
    const [neighbours, fdb, devices] = [
      new Map<string, string>(),
      new Map<string, string>(),
      new Set<string>(),
    ];
    for (const line of node.kernel.print().split("\n")) {
      const words = line.split(" ");
      const [kind, name = ""] = words;
      const after = (word: string): string => words[words.indexOf(word) + 1] ?? "";
      if (kind === "link") devices.add(`${name} ${after("address")}`);
      else if (kind === "neigh") neighbours.set(`${after("dev")} ${name}`, after("lladdr"));
      else if (kind === "fdb") fdb.set(`${after("dev")} ${name}`, after("dst"));
      else if (kind === "route" && words.includes("via")) {
        const block = this.#block(name);
        if (block !== undefined) routes.push({ block, gateway: after("via"), link: after("dev") });
      }
    }
    return { node, routes, neighbours, fdb, devices };
  }

  #block(text: string): Block | undefined {
    if (!this.#blocks.has(text)) this.#blocks.set(text, blockOf(text));
    return this.#blocks.get(text);
  }
}

/** The longest prefix wins; of equal ones the first. */
function longest({ routes }: Table, subnet: Block): ForwardingRoute | undefined {
  let best: ForwardingRoute | undefined;
  for (const route of routes)
    if (
      contains(route.block, subnet) &&
      (best === undefined || route.block.length > best.block.length)
    )
      best = route;
  return best;
}

/** What is missing where there is no hop. */
function hopOver({ neighbours, fdb }: Table, { gateway, link }: ForwardingRoute): Hop | string {
  if (!link.startsWith("flannel")) return { to: gateway, device: undefined };
  const mac = neighbours.get(`${link} ${gateway}`);
  if (mac === undefined) return `no neighbour ${gateway} dev ${link}`;
  const to = fdb.get(`${link} ${mac}`);
  return to === undefined ? `no FDB entry ${mac} dev ${link}` : { to, device: `${link} ${mac}` };
}
