import { LabError } from "../errors.ts";
import type { StoreContent, StoreEntry } from "../lab.ts";
import { getJson, postJson } from "../system/http.ts";

/**
 * The store as the lab itself sees it, through etcd's JSON gateway: a client of its own, so that the lab's view does not
 * depend on the agent's. Source: etcd api/etcdserverpb/rpc.swagger.json.
 */
export class EtcdGateway {
  readonly #endpoint: string;
  #told: (key: string, value?: string) => void = () => undefined;

  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  /** Whoever watches the store is told before this client writes a key, or, without a value, removes it. */
  tellWrites(told: (key: string, value?: string) => void): void {
    this.#told = told;
  }

  /** False while the server does not answer or has no leader. */
  async isHealthy(): Promise<boolean> {
    try {
      const { body } = await getJson(`${this.#endpoint}/health`);
      return String(member(body, "health")) === "true";
    } catch (error) {
      if (error instanceof LabError) {
        return false;
      }
      throw error;
    }
  }

  async version(): Promise<string> {
    const { body } = await getJson(`${this.#endpoint}/version`);
    return String(member(body, "etcdserver"));
  }

  async range(prefix: string): Promise<StoreContent> {
    const answer = await this.#call("/v3/kv/range", {
      key: encode(prefix),
      range_end: endOfPrefix(prefix),
    });
    const found = member(answer, "kvs");
    return {
      revision: Number(member(member(answer, "header"), "revision")),
      entries: Array.isArray(found) ? found.map(toEntry) : [],
    };
  }

  async put(key: string, value: string): Promise<void> {
    this.#told(key, value);
    await this.#call("/v3/kv/put", { key: encode(key), value: encode(value) });
  }

  async remove(key: string): Promise<void> {
    this.#told(key);
    await this.#call("/v3/kv/deleterange", { key: encode(key) });
  }

  async revoke(leaseId: string): Promise<void> {
    await this.#call("/v3/lease/revoke", { ID: leaseId });
  }

  /** Forgets everything before a revision, now and on disk. */
  async compact(revision: number): Promise<void> {
    await this.#call("/v3/kv/compaction", { revision: String(revision), physical: true });
  }

  /** Whether a read at a revision is refused because it was compacted. */
  async isCompacted(revision: number): Promise<boolean> {
    const { status, body } = await postJson(`${this.#endpoint}/v3/kv/range`, {
      key: encode("/"),
      revision: String(revision),
    });
    return status !== 200 && String(member(body, "error")).includes("compacted");
  }

  /** @throws LabError "store-refused" with what etcd said */
  async #call(path: string, request: unknown): Promise<unknown> {
    const { status, body } = await postJson(`${this.#endpoint}${path}`, request);
    if (status !== 200) {
      throw new LabError("store-refused", `etcd ${path}: ${String(member(body, "error"))}`);
    }
    return body;
  }
}

function toEntry(found: unknown): StoreEntry {
  const leaseId = member(found, "lease");
  return {
    key: decode(member(found, "key")),
    value: decode(member(found, "value")),
    modRevision: Number(member(found, "mod_revision")),
    createRevision: Number(member(found, "create_revision")),
    // 64-bit numbers are strings in the gateway's JSON; 0 is left out.
    ...(typeof leaseId === "string" && leaseId !== "0" ? { leaseId } : {}),
  };
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function encode(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

function decode(value: unknown): string {
  return typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : "";
}

/** The first key after all keys with the prefix, in base64: the last byte counted up, or `\0` for all keys. */
function endOfPrefix(prefix: string): string {
  const bytes = Buffer.from(prefix, "utf8");
  const last = bytes.at(-1);
  if (last === undefined) {
    return Buffer.from([0]).toString("base64");
  }
  bytes[bytes.length - 1] = last + 1;
  return bytes.toString("base64");
}
