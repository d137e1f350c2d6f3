/** How gRPC tells messages apart. Source: grpc doc/PROTOCOL-HTTP2.md, Length-Prefixed-Message. */
import { GrpcError } from "./etcd3-errors.ts";

/** A flag for compression, then the length. */
const PREFIX_BYTES = 5;

export function frame(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Puts together what comes in pieces of any size. */
export class MessageParts {
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Of the message that is coming with its prefix, once that is known. */
  #wanted = PREFIX_BYTES;
  #hasPrefix = false;

  /** The messages that are whole with this piece. @throws GrpcError for a compressed one, which nobody asked for */
  take(chunk: Buffer): readonly Buffer[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const messages: Buffer[] = [];
    while (this.#bytes >= this.#wanted) {
      // Joined only when there is enough: a long message comes in hundreds of pieces.
      const joined = Buffer.concat(this.#chunks);
      if (!this.#hasPrefix) {
        if (joined[0] !== 0) throw new GrpcError("INTERNAL", "the answer is compressed");
        this.#wanted = PREFIX_BYTES + joined.readUInt32BE(1);
        this.#hasPrefix = true;
        this.#chunks = [joined];
        continue;
      }
      messages.push(joined.subarray(PREFIX_BYTES, this.#wanted));
      this.#chunks = [joined.subarray(this.#wanted)];
      this.#bytes = joined.length - this.#wanted;
      this.#wanted = PREFIX_BYTES;
      this.#hasPrefix = false;
    }
    return messages;
  }
}
