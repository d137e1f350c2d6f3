/** Ethernet addresses: lower-case colon hex on our side, six bytes on the kernel's. */
import { CodecError } from "./errors.ts";

export const MAC_BYTES = 6;

const COLON = 0x3a;
const ZERO = 0x30;
const SMALL_A = 0x61;

/** @throws CodecError */
export function parseMac(text: string): Uint8Array {
  const bytes = new Uint8Array(MAC_BYTES);
  writeMac(text, bytes, 0);
  return bytes;
}

/** Writes the six bytes of a MAC. @throws CodecError */
export function writeMac(text: string, into: Uint8Array, start: number): void {
  let valid = text.length === MAC_BYTES * 3 - 1;
  for (let i = 0; valid && i < MAC_BYTES; i += 1) {
    const at = i * 3;
    const high = hexDigit(text.charCodeAt(at));
    const low = hexDigit(text.charCodeAt(at + 1));
    valid = high >= 0 && low >= 0 && (i === 0 || text.charCodeAt(at - 1) === COLON);
    into[start + i] = high * 16 + low;
  }
  if (!valid) throw new CodecError(`${JSON.stringify(text)} is not a MAC in lower-case colon hex`);
}

/** Negative for what is no digit, or in upper case. */
function hexDigit(code: number): number {
  if (code >= ZERO && code < ZERO + 10) return code - ZERO;
  return code >= SMALL_A && code < SMALL_A + 6 ? code - SMALL_A + 10 : -1;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** Text of a link-layer address; undefined when it is not an Ethernet one, as on a tunnel. */
export function formatMac(bytes: Uint8Array): string | undefined {
  if (bytes.length !== MAC_BYTES) return undefined;
  return Array.from(bytes, (byte) => HEX[byte]).join(":");
}
