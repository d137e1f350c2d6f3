/**
 * Watches a real etcd on its own, through the JSON gateway and from revision 1, and checks every revision: a second opinion that
 * shares nothing with the agent but the words of the protocol.
 */
import type { KeyValue } from "agent/subnet-manager/etcd/key-value-store.ts";
import { type StoredSubnets, overlap, readStored } from "../sim/stored.ts";
import { type WireKeyValue, base64, readEntry, textOf } from "./wire.ts";

interface WireResponse {
  readonly result?: {
    readonly events?: readonly { readonly type?: string; readonly kv: WireKeyValue }[];
    readonly canceled?: boolean;
  };
  readonly error?: unknown;
}

/** How one entry went away, and when that was seen. */
export interface Removal {
  readonly key: string;
  readonly owner: string | undefined;
  readonly writtenAt: number;
  readonly seenAt: number;
}

export class Observer {
  readonly live: Map<string, KeyValue> = new Map();
  readonly violations: string[] = [];
  readonly removals: Removal[] = [];
  /** What was live after each revision, oldest first. */
  readonly states: ReadonlyMap<string, KeyValue>[] = [];
  /** Entries that never had an etcd lease when they were made. */
  readonly #reserved = new Set<string>();
  readonly #writtenAt = new Map<string, number>();
  readonly #stop = new AbortController();
  readonly #allowed: (stored: StoredSubnets) => boolean;
  #watching: Promise<void> = Promise.resolve();
  /** The newest one seen. */
  revision = 0;

  /** @param allowed whether a lease fits the network configuration (A2) */
  constructor(allowed: (stored: StoredSubnets) => boolean) {
    this.#allowed = allowed;
  }

  /** Returns when the member has said that it watches, from revision 1 unless another is given. */
  async open(url: string, prefix: string, fromRevision = 1): Promise<void> {
    const response = await fetch(`${url}/v3/watch`, {
      method: "POST",
      signal: this.#stop.signal,
      body: JSON.stringify({
        create_request: {
          key: base64(prefix),
          range_end: base64(prefix.replace(/\/$/, "0")),
          start_revision: String(fromRevision),
        },
      }),
    });
    const { body } = response;
    if (body === null) throw new Error("the watch has no body");
    const lines = linesOf(body);
    await lines.next();
    this.#watching = this.#follow(lines);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  async #follow(lines: AsyncGenerator<string, void>): Promise<void> {
    try {
      for await (const line of lines) this.#take(JSON.parse(line) as WireResponse);
      this.violations.push("the observer's watch ended");
    } catch (error) {
      if (!this.#stop.signal.aborted)
        this.violations.push(`the observer lost its watch: ${String(error)}`);
    }
  }

  #take({ result, error }: WireResponse): void {
    if (error !== undefined || result?.canceled === true)
      this.violations.push(
        `the observer's watch was refused: ${JSON.stringify({ error, result })}`,
      );
    const byRevision = Map.groupBy(result?.events ?? [], ({ kv }) => Number(kv.mod_revision));
    for (const [revision, events] of byRevision) {
      if (revision <= this.revision)
        this.#break(revision, "history goes forward", String(revision));
      this.revision = revision;
      for (const { type, kv } of events) {
        const key = textOf(kv.key);
        if (type === "DELETE") this.#remove(key);
        else this.#put(readEntry(kv));
      }
      this.states.push(new Map(this.live));
      this.#checkAll(revision);
    }
  }

  #remove(key: string): void {
    const before = this.live.get(key);
    this.live.delete(key);
    this.#reserved.delete(key);
    this.removals.push({
      key,
      owner: before === undefined ? undefined : readStored(before)?.owner,
      writtenAt: this.#writtenAt.get(key) ?? 0,
      seenAt: performance.now(),
    });
  }

  #put(entry: KeyValue): void {
    const { key, modRevision: revision } = entry;
    const before = this.live.get(key);
    this.live.set(key, entry);
    this.#writtenAt.set(key, performance.now());
    if (before === undefined) {
      if (entry.version !== 1 || entry.createRevision !== revision)
        this.#break(revision, "A5", `${key} begins with version ${entry.version}`);
      if (entry.leaseId === undefined) this.#reserved.add(key);
    } else {
      const [was, is] = [readStored(before)?.owner, readStored(entry)?.owner];
      if (was !== is) this.#break(revision, "A4", `${key} passed from ${was} to ${is}`);
      if (this.#reserved.has(key) && entry.leaseId !== undefined)
        this.#break(revision, "A9", `the reservation ${key} got an etcd lease`);
    }
    const stored = readStored(entry);
    if (stored === undefined || !this.#allowed(stored))
      this.#break(revision, "A2", `${key} does not fit the network`);
  }

  #checkAll(revision: number): void {
    const leases = [...this.live.values()].flatMap((entry) => readStored(entry) ?? []);
    const owners = new Set(leases.map(({ owner }) => owner));
    if (owners.size !== leases.length) this.#break(revision, "A3", "a node with two keys");
    leases.forEach((one, index) => {
      const other = leases.slice(index + 1).find((candidate) => sharesAddresses(one, candidate));
      if (other !== undefined)
        this.#break(revision, "A1", `${one.owner} and ${other.owner} overlap`);
    });
  }

  #break(revision: number, id: string, what: string): void {
    this.violations.push(`${id} at revision ${revision}: ${what}`);
  }
}

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

function sharesAddresses(one: StoredSubnets, other: StoredSubnets): boolean {
  return one.blocks.some((block) => other.blocks.some((candidate) => overlap(block, candidate)));
}
