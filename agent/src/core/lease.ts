import { FAMILIES } from "./ip.ts";
import type { Cidr, Ip, PerFamily } from "./ip.ts";

/** What a node tells its peers: where to send, and how. */
export interface LeaseAttributes {
  /** Addresses that peers send to. */
  readonly publicIps: PerFamily<Ip>;
  /** `BackendType` as published; empty for the backends that publish none (spec 05 section 1). */
  readonly backendType: string;
  /** Per family, the JSON value a backend publishes; from a peer it is unchecked and hostile until the backend parsed it. */
  readonly backendData: PerFamily<unknown>;
}

/** A node's timed claim on a subnet, with what peers need to reach it. */
export interface Lease extends LeaseAttributes {
  /** One subnet per family in use, host bits zero. */
  readonly subnets: PerFamily<Cidr>;
}

/** Whether both claim the same subnets, in every family, whatever they publish. */
export function sameLease(a: Pick<Lease, "subnets">, b: Pick<Lease, "subnets">): boolean {
  return FAMILIES.every((family) => a.subnets[family] === b.subnets[family]);
}

/** Whether both publish the same; the order of members inside the data does not count. */
export function equalAttributes(a: LeaseAttributes, b: LeaseAttributes): boolean {
  return (
    a.backendType === b.backendType &&
    FAMILIES.every(
      (family) =>
        a.publicIps[family] === b.publicIps[family] &&
        equalJson(a.backendData[family], b.backendData[family]),
    )
  );
}

function equalJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const left = membersOf(a);
  const right = membersOf(b);
  if (left.size !== right.size) return false;
  for (const [name, value] of left) if (!equalJson(value, right.get(name))) return false;
  return true;
}

/** JSON has no undefined: such a member is not written. */
function membersOf(value: object): ReadonlyMap<string, unknown> {
  const entries: [string, unknown][] = Object.entries(value);
  return new Map(entries.filter(([, member]) => member !== undefined));
}
