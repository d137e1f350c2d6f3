import { CodecError } from "./errors.ts";
import type { MessageWriter } from "./message-writer.ts";

/** Source: linux/netlink.h */
export const NLM_F_REQUEST = 0x001;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

/** Header flags for an object that must be new, and for one that is new or changed. */
export const ADD: number = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL;
export const PUT: number = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;

/** One thing asked of the kernel. Made by `putRoute`, `removeLink` and their kind. */
export interface Request {
  readonly messageType: number;
  readonly flags: number;
  /** What is asked, in words for an error message: `put route 10.42.2.0/24 via 10.42.2.0`. */
  describe(): string;
  /** Writes the message's body. @throws CodecError for a value that cannot be written */
  encode(writer: MessageWriter): void;
}

/** How objects of one kind are spoken of and written. */
export interface Codec<Value> {
  /** `verb` is "add", "put" or "remove". */
  describe(verb: string, value: Value): string;
  encode(writer: MessageWriter, value: Value, messageType: number): void;
}

/** Thousands are made at once, so they share their methods. */
export class ObjectRequest<Value> implements Request {
  readonly messageType: number;
  readonly flags: number;
  readonly #codec: Codec<Value>;
  readonly #value: Value;

  constructor(codec: Codec<Value>, messageType: number, flags: number, value: Value) {
    this.messageType = messageType;
    this.flags = flags;
    this.#codec = codec;
    this.#value = value;
  }

  describe(): string {
    return this.#codec.describe(verbOf(this.flags), this.#value);
  }

  encode(writer: MessageWriter): void {
    this.#codec.encode(writer, this.#value, this.messageType);
  }
}

function verbOf(flags: number): string {
  if (flags === ADD) return "add";
  return flags === PUT ? "put" : "remove";
}

/** Words with the absent ones left out: `words("via", undefined)` is "". */
export function words(
  ...parts: readonly (string | readonly [string, string | number | undefined] | undefined)[]
): string {
  const spoken: string[] = [];
  for (const part of parts) {
    if (typeof part === "string") spoken.push(part);
    else if (part?.[1] !== undefined) spoken.push(`${part[0]} ${part[1]}`);
  }
  return spoken.join(" ");
}

/**
 * Writes a whole message, or nothing.
 * @returns why it cannot be written, naming the request; undefined when it was
 */
export function encodeRequest(
  writer: MessageWriter,
  request: Request,
  sequence: number,
): CodecError | undefined {
  writer.beginMessage(request.messageType, request.flags, sequence);
  try {
    request.encode(writer);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    writer.abandonMessage();
    return new CodecError(`cannot ${request.describe()}: ${error.message}`, { cause: error });
  }
  writer.endMessage();
  return undefined;
}
