/** What a client of the store asked it, as the store itself tells in its log. */
export interface StoreRequest {
  /** The client's address. */
  readonly client: string;
  /** `Range`, `Txn`, `Put`, `DeleteRange`, `LeaseGrant` …: a call of the store's API with one answer. */
  readonly verb: string;
  /** Where the keys that it reads begin; only where it reads several. */
  readonly lists?: string;
  /** Keys that it writes or deletes, if its conditions hold. */
  readonly writes: readonly StoreWrite[];
}

interface StoreWrite {
  readonly key: string;
  /** Whether one of the conditions is about this key. */
  readonly isConditional: boolean;
}

/**
 * A line of etcd's log that tells of a request; undefined for every other line. Which there are in the log of a member at
 * level `debug`. Source: etcd server/etcdserver/api/v3rpc/interceptor.go logUnaryRequestStats; the content is
 * protobuf's text form, without values.
 */
export function parseStoreRequest(line: string): StoreRequest | undefined {
  if (!line.includes(REQUEST_MARK)) {
    return undefined;
  }
  const entry = parsed(line);
  if (entry === undefined) {
    return undefined;
  }
  const verb = textOf(entry, "response type").split("/").at(-1) ?? "";
  const content = textOf(entry, "request content");
  const remote = textOf(entry, "remote");
  const lists = verb === "Range" && content.includes("range_end:") ? keysIn(content)[0] : undefined;
  return {
    client: remote.slice(0, remote.lastIndexOf(":")).replaceAll(/[[\]]/g, ""),
    verb,
    ...(lists === undefined ? {} : { lists }),
    writes: writesOf(verb, content),
  };
}

const REQUEST_MARK = '"request stats"';
const KEY = /(?:^|[ <])key:"((?:[^"\\]|\\.)*)"/g;
/** Of a transaction: what comes with success, and what without. */
const BRANCHES = / ?(?:success|failure):</;
const WRITE = /request_(?:put|delete_range):<(?:(?!request_).)*/g;

function writesOf(verb: string, content: string): readonly StoreWrite[] {
  if (verb === "Put" || verb === "DeleteRange") {
    return keysIn(content)
      .slice(0, 1)
      .map((key) => ({ key, isConditional: false }));
  }
  if (verb !== "Txn") {
    return [];
  }
  const [conditions = "", ...branches] = content.split(BRANCHES);
  const compared = new Set(keysIn(conditions));
  return branches.flatMap((branch) =>
    [...branch.matchAll(WRITE)].flatMap(([text]) =>
      keysIn(text).map((key) => ({ key, isConditional: compared.has(key) })),
    ),
  );
}

function keysIn(content: string): readonly string[] {
  return [...content.matchAll(KEY)].map(([, key = ""]) => key);
}

/** Undefined for what a member that was killed did not write to its end. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}

function textOf(value: unknown, name: string): string {
  const found: unknown =
    typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  return typeof found === "string" ? found : "";
}
