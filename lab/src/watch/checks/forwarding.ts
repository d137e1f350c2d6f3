import { type Address, type IpFamily, parseCidr } from "../../addresses.ts";
import { EXTERNAL_INTERFACE } from "../../topology.ts";
import type { InvariantCheck } from "../check.ts";
import type { LiveLease, World } from "../world.ts";
import { ForwardingTable } from "./forwarding-table.ts";
import { whenQuiet, withReadyAgents } from "./quiet.ts";

/** Where a host sends packets for an address. */
type NextHop =
  | { readonly kind: "delivered" }
  | { readonly kind: "host"; readonly host: string }
  /** No route, a router of the underlay, a way that leads nowhere: another check's business. */
  | { readonly kind: "elsewhere" };

export const forwardingEndsAtOwner: InvariantCheck = whenQuiet(
  {
    id: "D7",
    claim: "the way to every subnet, over all hosts' kernels, has no loop and ends at the owner",
    needs: ["store", "dump"],
  },
  (_facts, round, world) => {
    const hosts = new Map(
      withReadyAgents(round.hosts, world).map(({ host, kernel }) => [
        host,
        new ForwardingTable(kernel),
      ]),
    );
    let looked = 0;
    const violations = [...world.leases.values()].flatMap((lease) =>
      (["ipv4", "ipv6"] as const).flatMap((family) => {
        const subnet = parseCidr(lease.subnets[family] ?? "");
        const owner = world.hostOf(lease.publicIps[family] ?? lease.owner);
        if (subnet === undefined || owner === undefined) {
          return [];
        }
        return [...hosts.keys()].flatMap((start) => {
          const way = follow(start, subnet.address, hosts, world);
          looked += way.end === "elsewhere" ? 0 : 1;
          const detail = complaintAbout(way, lease, family, owner);
          return detail === undefined ? [] : [{ host: start, detail }];
        });
      }),
    );
    return { looked, violations };
  },
);

interface Way {
  readonly hosts: readonly string[];
  readonly end: "delivered" | "loop" | "elsewhere";
}

function complaintAbout(
  { hosts, end }: Way,
  lease: LiveLease,
  family: IpFamily,
  owner: string,
): string | undefined {
  const words = `${lease.subnets[family]}: ${hosts.join(" → ")}`;
  if (end === "loop") {
    return `${words} is a loop`;
  }
  return end === "delivered" && hosts.at(-1) !== owner
    ? `${words} ends there, the owner is ${owner}`
    : undefined;
}

function follow(
  start: string,
  address: Address,
  hosts: ReadonlyMap<string, ForwardingTable>,
  world: World,
): Way {
  const way = [start];
  for (;;) {
    const host = hosts.get(way.at(-1) ?? start);
    const next =
      host === undefined ? ({ kind: "elsewhere" } as const) : nextHop(host, address, world);
    if (next.kind !== "host") {
      return { hosts: way, end: next.kind };
    }
    const looped = way.includes(next.host);
    way.push(next.host);
    if (looped) {
      return { hosts: way, end: "loop" };
    }
  }
}

function nextHop(table: ForwardingTable, address: Address, world: World): NextHop {
  const route = table.routeTo(address);
  if (route === undefined) {
    return { kind: "elsewhere" };
  }
  const { gateway, device } = route;
  if (gateway === undefined) {
    return { kind: device === EXTERNAL_INTERFACE ? "elsewhere" : "delivered" };
  }
  const end = device === EXTERNAL_INTERFACE ? gateway : table.tunnelEnd(device, gateway);
  const host = world.hostOf(end ?? "");
  return host === undefined ? { kind: "elsewhere" } : { kind: "host", host };
}
