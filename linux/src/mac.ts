/** Ethernet addresses: lower-case colon hex on our side, six bytes on the kernel's. */
import { CodecError } from "./errors.ts";

const MAC_BYTES = 6;

/** @throws CodecError */
export function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/.test(text)) {
    throw new CodecError(`${JSON.stringify(text)} is not a MAC in lower-case colon hex`);
  }
  const bytes = new Uint8Array(MAC_BYTES);
  for (let i = 0; i < MAC_BYTES; i += 1) {
    bytes[i] = Number.parseInt(text.slice(i * 3, i * 3 + 2), 16);
  }
  return bytes;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** Text of a link-layer address; undefined when it is not an Ethernet one, as on a tunnel. */
export function formatMac(bytes: Uint8Array): string | undefined {
  if (bytes.length !== MAC_BYTES) return undefined;
  return Array.from(bytes, (byte) => HEX[byte]).join(":");
}
