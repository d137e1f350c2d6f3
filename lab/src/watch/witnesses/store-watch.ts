import { messageOf } from "../../errors.ts";
import type { Clock } from "../../system/clock.ts";
import type { Blindness, StoreChange, StoreRevision } from "../sightings.ts";

/** Between two tries to reach the store. */
const RECONNECT_MS = 100;
/** A line longer than this is no answer of a watch. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;

export interface StoreWatchOptions {
  readonly endpoint: string;
  readonly prefix: string;
  readonly clock: Clock;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  readonly see: (sighting: StoreRevision | Blindness) => void;
}

/**
 * Sees every revision of the store below a prefix, from the first one on, through etcd's JSON gateway. A store that is away
 * is waited for; what was compacted meanwhile, or a revision that went back, is told as blindness.
 * Source: etcd api/etcdserverpb/rpc.proto, Watch; api/mvccpb/kv.proto.
 */
export class StoreWatch {
  readonly #options: StoreWatchOptions;
  /** The last revision that the store was seen at. */
  #last = 0;
  #next = 1;
  #isConnected = false;

  constructor(options: StoreWatchOptions) {
    this.#options = options;
  }

  /** Whether it sees at this moment what the store does. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Ends, without an error, when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#connect(signal);
      this.#isConnected = false;
      await this.#options.clock.sleep(RECONNECT_MS, signal);
    }
  }

  async #connect(signal: AbortSignal): Promise<void> {
    try {
      const { endpoint, prefix } = this.#options;
      const response = await fetch(`${endpoint}/v3/watch`, {
        method: "POST",
        body: JSON.stringify({
          create_request: {
            key: encode(prefix),
            range_end: encode(
              `${prefix.slice(0, -1)}${String.fromCodePoint((prefix.codePointAt(prefix.length - 1) ?? 0) + 1)}`,
            ),
            start_revision: String(this.#next),
          },
        }),
        signal,
      });
      for await (const line of linesOf(response)) {
        if (!this.#read(JSON.parse(line))) {
          return;
        }
      }
    } catch (error) {
      // Away, or told to stop: the store's faults are part of the play, and the next try begins where this one ended.
      if (!(error instanceof TypeError) && !signal.aborted) {
        this.#tellBlind(messageOf(error));
      }
    }
  }

  /** False when the watch has ended. */
  #read(message: unknown): boolean {
    const result = member(message, "result");
    const revision = Number(member(member(result, "header"), "revision") ?? 0);
    const compacted = Number(member(result, "compact_revision") ?? 0);
    if (compacted >= this.#next) {
      this.#tellBlind(
        `revisions ${this.#next} to ${compacted - 1} were compacted before they were seen`,
      );
      this.#next = compacted;
    }
    if (member(result, "canceled") === true || result === undefined) {
      return false;
    }
    this.#isConnected = true;
    if (revision < this.#last) {
      this.#tellBlind(`the store went back from revision ${this.#last} to ${revision}`);
      this.#next = 1;
      this.#last = 0;
      return false;
    }
    this.#last = revision;
    const events = member(result, "events");
    const byRevision = Map.groupBy(Array.isArray(events) ? events : [], (event: unknown) =>
      Number(member(member(event, "kv"), "mod_revision")),
    );
    for (const [at, group] of byRevision) {
      this.#next = at + 1;
      this.#options.see({
        witness: "store",
        kind: "revision",
        at: this.#options.now(),
        revision: at,
        changes: group.map(toChange),
      });
    }
    return true;
  }

  #tellBlind(why: string): void {
    this.#options.see({ witness: "store", kind: "blind", at: this.#options.now(), why });
  }
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

async function* linesOf(response: Response): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response.body ?? []) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_LINE_BYTES) {
      throw new RangeError("an answer of the store's watch is too long");
    }
    yield* lines.filter((line) => line !== "");
  }
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
