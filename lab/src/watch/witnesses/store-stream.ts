import { postForLines } from "../../system/http.ts";
import type { StoreChange } from "../sightings.ts";

export type StreamAnswer =
  | {
      readonly kind: "revision";
      readonly revision: number;
      readonly changes: readonly StoreChange[];
    }
  /** Everything before `revision` is gone. */
  | { readonly kind: "compacted"; readonly revision: number }
  | { readonly kind: "went-back"; readonly from: number; readonly to: number };

/**
 * What one member of the store tells of the keys below a prefix, through etcd's JSON gateway.
 * Source: etcd api/etcdserverpb/rpc.proto, Watch; api/mvccpb/kv.proto.
 */
export class StoreStream {
  readonly #endpoint: string;
  readonly #prefix: string;
  /** The last revision that this member was seen at: others may be ahead of it. */
  #last = 0;
  #isConnected = false;

  constructor(endpoint: string, prefix: string) {
    this.#endpoint = endpoint;
    this.#prefix = prefix;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** The member will begin anew. */
  forget(): void {
    this.#last = 0;
  }

  /** From a revision on, until the watch ends. @throws LabError "store-refused" when the member is away; what else the answer is not */
  async *read(
    fromRevision: number,
    token: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<StreamAnswer, void> {
    try {
      const wish = {
        create_request: {
          key: encode(this.#prefix),
          range_end: encode(endOf(this.#prefix)),
          start_revision: String(fromRevision),
        },
      };
      const url = `${this.#endpoint}/v3/watch`;
      for await (const line of postForLines(url, wish, { token, signal })) {
        const result = member(JSON.parse(line), "result");
        const revision = Number(member(member(result, "header"), "revision") ?? 0);
        const compacted = Number(member(result, "compact_revision") ?? 0);
        if (compacted > 0) {
          yield { kind: "compacted", revision: compacted };
        }
        if (member(result, "canceled") === true || result === undefined) {
          return;
        }
        if (revision < this.#last) {
          const from = this.#last;
          this.#last = 0;
          yield { kind: "went-back", from, to: revision };
          return;
        }
        this.#isConnected = true;
        this.#last = revision;
        yield* revisionsOf(result);
      }
    } finally {
      this.#isConnected = false;
    }
  }
}

function revisionsOf(result: unknown): readonly StreamAnswer[] {
  const events = member(result, "events");
  const byRevision = Map.groupBy(Array.isArray(events) ? events : [], (event: unknown) =>
    Number(member(member(event, "kv"), "mod_revision")),
  );
  return [...byRevision].map(([revision, group]) => ({
    kind: "revision",
    revision,
    changes: group.map(toChange),
  }));
}

function toChange(event: unknown): StoreChange {
  const kv = member(event, "kv");
  const key = decode(member(kv, "key"));
  if (member(event, "type") === "DELETE") {
    return { kind: "delete", key };
  }
  const leaseId = member(kv, "lease");
  return {
    kind: "put",
    version: Number(member(kv, "version")),
    entry: {
      key,
      value: decode(member(kv, "value")),
      modRevision: Number(member(kv, "mod_revision")),
      createRevision: Number(member(kv, "create_revision")),
      // 64-bit numbers are strings in the gateway's JSON; 0 is left out.
      ...(typeof leaseId === "string" && leaseId !== "0" ? { leaseId } : {}),
    },
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

/** The first key after all keys with the prefix. */
function endOf(prefix: string): string {
  const last = prefix.codePointAt(prefix.length - 1) ?? 0;
  return `${prefix.slice(0, -1)}${String.fromCodePoint(last + 1)}`;
}
