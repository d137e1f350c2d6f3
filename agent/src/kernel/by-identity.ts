/**
 * A map by kernel objects, which are one key where their identity is one. It makes no text for a key: a node with thousands of peers
 * looks up tens of thousands in each pass, so what is in the objects already has to do.
 */
import { cidrAddress } from "../core/ip.ts";
import type { Identity } from "./identity.ts";

type Key = string | number;

export type ReadonlyByIdentity<Value> = Pick<ByIdentity<Value>, "get" | "has" | "size" | "values">;

export class ByIdentity<Value> {
  /** By kind, by what an identity is counted within, by the rest of it. */
  readonly #kinds = new Map<Identity["kind"], Map<string, Map<Key, Value>>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(of: Identity): Value | undefined {
    return this.#kinds.get(of.kind)?.get(roomOf(of))?.get(keyOf(of));
  }

  has(of: Identity): boolean {
    return this.#kinds.get(of.kind)?.get(roomOf(of))?.has(keyOf(of)) === true;
  }

  set(of: Identity, value: Value): void {
    const values = this.#room(of);
    const before = values.size;
    values.set(keyOf(of), value);
    this.#size += values.size - before;
  }

  /** @returns whether it was there */
  delete(of: Identity): boolean {
    const isGone = this.#kinds.get(of.kind)?.get(roomOf(of))?.delete(keyOf(of)) === true;
    if (isGone) this.#size--;
    return isGone;
  }

  clear(): void {
    this.#kinds.clear();
    this.#size = 0;
  }

  /** As they are now; those of one kind in the order in which they came. */
  values(): readonly Value[] {
    const found: Value[][] = [];
    for (const rooms of this.#kinds.values())
      for (const values of rooms.values()) found.push([...values.values()]);
    const [first = []] = found;
    return found.length > 1 ? first.concat(...found.slice(1)) : first;
  }

  #room(of: Identity): Map<Key, Value> {
    let rooms = this.#kinds.get(of.kind);
    if (rooms === undefined) this.#kinds.set(of.kind, (rooms = new Map()));
    const name = roomOf(of);
    let values = rooms.get(name);
    if (values === undefined) rooms.set(name, (values = new Map()));
    return values;
  }
}

/** The device, for what there can be one of on each. */
function roomOf(of: Identity): string {
  switch (of.kind) {
    case "address":
    case "neighbour":
    case "fdb":
      return of.link;
    case "link":
    case "nexthop":
    case "route":
    case "blackhole":
    case "sysctl":
      return "";
  }
}

function keyOf(of: Identity): Key {
  switch (of.kind) {
    case "link":
      return of.name;
    case "address":
      return cidrAddress(of.address);
    case "neighbour":
      return of.address;
    case "fdb":
      return of.mac;
    case "nexthop":
      return of.id;
    case "route":
    case "blackhole":
      return of.destination;
    case "sysctl":
      return of.path;
  }
}
