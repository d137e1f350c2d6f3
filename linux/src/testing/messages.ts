/** Messages as hexadecimal text, for tests of the codecs. */
import { MessageReader } from "../message-reader.ts";
import { MessageWriter } from "../message-writer.ts";
import { type Request, encodeRequest } from "../request.ts";

export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
}

/** Bytes in lines of 16, as hex dumps are printed. */
export function toHex(bytes: Uint8Array): string {
  const pairs = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));
  const lines: string[] = [];
  for (let i = 0; i < pairs.length; i += 16) lines.push(pairs.slice(i, i + 16).join(" "));
  return lines.join("\n");
}

/** Hex dump of a request with sequence number 0. */
export function hexOf(request: Request): string {
  return toHex(bytesOf(request));
}

/** @throws CodecError */
export function bytesOf(request: Request): Uint8Array {
  const writer = new MessageWriter();
  const problem = encodeRequest(writer, request, 0);
  if (problem !== undefined) throw problem;
  return writer.bytes;
}

/** Reads the first message with a decoder. */
export function decodeWith<T>(decode: (message: MessageReader) => T, bytes: Uint8Array): T {
  const message = new MessageReader(bytes);
  if (!message.next()) throw new Error("no message");
  return decode(message);
}
