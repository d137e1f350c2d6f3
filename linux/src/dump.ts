import { MessageReader } from "./message-reader.ts";
import { MessageWriter } from "./message-writer.ts";
import { isObject, readRefusal, sawInterruption } from "./reply.ts";
import { NLM_F_DUMP, NLM_F_REQUEST } from "./request.ts";

/** How one kind of object is dumped. */
export interface Dump<T> {
  /** `routes`, for an error message. */
  readonly what: string;
  readonly messageType: number;
  /** Writes the header and attributes the kernel filters by. */
  readonly filter: (writer: MessageWriter) => void;
  readonly decode: (message: MessageReader) => T | undefined;
}

/** The message that asks for a dump. */
export function encodeDump<T>(dump: Dump<T>, sequence: number): Uint8Array {
  const writer = new MessageWriter();
  writer.beginMessage(dump.messageType, NLM_F_REQUEST | NLM_F_DUMP, sequence);
  dump.filter(writer);
  writer.endMessage();
  return writer.bytes;
}

/** Messages read in one go: about a millisecond's worth. */
const MESSAGES_PER_STEP = 512;

/**
 * The dumped objects; undefined when the table changed meanwhile. Yields now and then, so that a reader of a large table can
 * let others run. @throws NetlinkError, CodecError
 */
export function* readDump<T>(
  received: Uint8Array,
  sequence: number,
  dump: Dump<T>,
): Generator<void, readonly T[] | undefined, undefined> {
  const objects: T[] = [];
  const message = new MessageReader(received);
  for (let count = 1; message.next(); count++) {
    if (count % MESSAGES_PER_STEP === 0) yield;
    if (message.sequence !== sequence) continue;
    if (sawInterruption(message)) return undefined;
    const refusal = readRefusal(message, { describe: () => `dump ${dump.what}` });
    // A filter on a link or table that is not there: nothing matches it.
    if (refusal?.code === "ENODEV" || refusal?.code === "ENOENT") return [];
    if (refusal !== undefined) throw refusal;
    const object = isObject(message) ? dump.decode(message) : undefined;
    if (object !== undefined) objects.push(object);
  }
  return objects;
}
