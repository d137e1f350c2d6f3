import { LabError } from "../errors.ts";
import type { StoreContent, StoreEntry } from "../lab.ts";
import { getJson, type HttpAnswer, postJson } from "../system/http.ts";

/**
 * The store as the lab itself sees it, through etcd's JSON gateway: a client of its own, so that the lab's view does not
 * depend on the agent's. Source: etcd api/etcdserverpb/rpc.swagger.json.
 */
/** A member that says nothing for so long is not healthy. */
const HEALTH_TIMEOUT_MS = 2000;

/** Who leads a cluster that has no leader. */
export const NO_LEADER = "0";

export interface MemberStatus {
  readonly memberId: string;
  /** The id of the member that leads, or `NO_LEADER`. */
  readonly leader: string;
  /** The newest that it has applied. */
  readonly revision: number;
  /** How much of the log of its cluster it has applied. */
  readonly appliedIndex: number;
}

/** Of the lab and its agents, where a store knows its users. Source: etcd Documentation/op-guide/authentication.md. */
export const STORE_USER = { name: "root", password: "lab" } as const;
const ROOT_ROLE = "root";
/** What etcd says to a token that ran out, and to none. Source: etcd api/v3rpc/rpctypes/error.go. */
const NOT_LOGGED_IN = ["invalid auth token", "user name is empty"];

export class EtcdGateway {
  /** Whom to ask, the best one first. */
  readonly #endpoints: () => readonly string[];
  #token: string | undefined;
  #hasUsers = false;
  #told: (key: string, value?: string) => void = () => undefined;

  constructor(endpoints: () => readonly string[]) {
    this.#endpoints = endpoints;
  }

  /** Whoever watches the store is told before this client writes a key, or, without a value, removes it. */
  tellWrites(told: (key: string, value?: string) => void): void {
    this.#told = told;
  }

  /** From now on who asks must be a user, as this client is. */
  async wantUsers(): Promise<void> {
    await this.#call("/v3/auth/user/add", STORE_USER);
    await this.#call("/v3/auth/role/add", { name: ROOT_ROLE });
    await this.#call("/v3/auth/user/grant", { user: STORE_USER.name, role: ROOT_ROLE });
    await this.#call("/v3/auth/enable", {});
    this.#hasUsers = true;
    await this.logIn();
  }

  /** A new token; undefined in a store that has no users. @throws LabError "store-refused" */
  async logIn(): Promise<string | undefined> {
    if (!this.#hasUsers) {
      return undefined;
    }
    const path = "/v3/auth/authenticate";
    const answer = checked(path, await this.#askAny(path, STORE_USER, undefined));
    this.#token = String(member(answer, "token"));
    return this.#token;
  }

  /** A password that is set, were it the same, ends all tokens of its user. Source: etcd server/auth/store.go UserChangePassword. */
  async voidTokens(): Promise<void> {
    await this.#call("/v3/auth/user/changepw", STORE_USER);
  }

  async takesToken(token: string): Promise<boolean> {
    const { status } = await this.#askAny("/v3/kv/range", { key: encode("/") }, token);
    return status === 200;
  }

  /** Whether a member that answers has a leader and takes writes. */
  async isHealthy(): Promise<boolean> {
    for (const endpoint of this.#endpoints()) {
      if (await this.isHealthyAt(endpoint)) {
        return true;
      }
    }
    return false;
  }

  /** False while the server does not answer, has no leader or an alarm is on. */
  async isHealthyAt(endpoint: string): Promise<boolean> {
    try {
      const { body } = await getJson(`${endpoint}/health`, HEALTH_TIMEOUT_MS);
      return String(member(body, "health")) === "true";
    } catch (error) {
      if (error instanceof LabError) {
        return false;
      }
      throw error;
    }
  }

  async version(): Promise<string> {
    const { body } = await getJson(`${this.#endpoints()[0] ?? ""}/version`);
    return String(member(body, "etcdserver"));
  }

  /** Undefined while it does not answer. */
  async status(endpoint: string): Promise<MemberStatus | undefined> {
    try {
      const { status, body } = await postJson(
        `${endpoint}/v3/maintenance/status`,
        {},
        { timeoutMs: HEALTH_TIMEOUT_MS },
      );
      const header = member(body, "header");
      // 64-bit numbers are strings in the gateway's JSON; 0 is left out.
      const leader = member(body, "leader");
      return status !== 200
        ? undefined
        : {
            memberId: String(member(header, "member_id")),
            leader: typeof leader === "string" ? leader : NO_LEADER,
            revision: Number(member(header, "revision") ?? 0),
            appliedIndex: Number(member(body, "raftAppliedIndex") ?? 0),
          };
    } catch (error) {
      if (error instanceof LabError) {
        return undefined;
      }
      throw error;
    }
  }

  /**
   * Makes another member the leader.
   * @param endpoint the leader's
   * @throws LabError "store-refused" also when it does not lead in time
   */
  async moveLeader(endpoint: string, memberId: string, timeoutMs: number): Promise<void> {
    const path = "/v3/maintenance/transfer-leadership";
    const request = { targetID: memberId };
    checked(path, await postJson(`${endpoint}${path}`, request, { token: this.#token, timeoutMs }));
  }

  /** Raises or clears the alarm of a full disk in the name of a member: no member takes writes while it is on. */
  async setFull(memberId: string, isFull: boolean): Promise<void> {
    const action = isFull ? "ACTIVATE" : "DEACTIVATE";
    await this.#call("/v3/maintenance/alarm", { action, memberID: memberId, alarm: "NOSPACE" });
  }

  /** Whether a write is refused because the disk is full. */
  async isFull(key: string): Promise<boolean> {
    try {
      await this.put(key, "");
      return false;
    } catch (error) {
      if (error instanceof LabError && error.message.includes("database space exceeded")) {
        return true;
      }
      throw error;
    }
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
    const { status, body } = await this.#post("/v3/kv/range", {
      key: encode("/"),
      revision: String(revision),
    });
    return status !== 200 && String(member(body, "error")).includes("compacted");
  }

  /** @throws LabError "store-refused" with what etcd said */
  async #call(path: string, request: unknown): Promise<unknown> {
    return checked(path, await this.#post(path, request));
  }

  /** As a user, where the store has some. @throws LabError "store-refused" without an answer */
  async #post(path: string, request: unknown): Promise<HttpAnswer> {
    const answer = await this.#askAny(path, request, this.#token);
    const refusal = answer.status === 200 ? "" : String(member(answer.body, "error"));
    return this.#hasUsers && NOT_LOGGED_IN.some((text) => refusal.includes(text))
      ? this.#askAny(path, request, await this.logIn())
      : answer;
  }

  /** Asks one after the other until one answers. @throws LabError "store-refused" when none does */
  async #askAny(path: string, request: unknown, token: string | undefined): Promise<HttpAnswer> {
    let refusal = new LabError("store-refused", "the store has no members");
    for (const endpoint of this.#endpoints()) {
      try {
        return await postJson(`${endpoint}${path}`, request, { token });
      } catch (error) {
        if (!(error instanceof LabError)) {
          throw error;
        }
        refusal = error;
      }
    }
    throw refusal;
  }
}

/** @throws LabError "store-refused" with what etcd said */
function checked(path: string, { status, body }: HttpAnswer): unknown {
  if (status !== 200) {
    throw new LabError("store-refused", `etcd ${path}: ${String(member(body, "error"))}`);
  }
  return body;
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
