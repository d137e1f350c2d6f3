/** IP addresses and prefixes: canonical text on our side, bytes on the kernel's. */
import { CodecError } from "./errors.ts";

/** The kernel's word for IPv4 and IPv6, as `ip -json` prints it. */
export type Family = "inet" | "inet6";

/** Source: linux/socket.h */
export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;

/** Length of an address in bytes. */
const ADDRESS_BYTES: Record<Family, number> = { inet: 4, inet6: 16 };

const DOT = 0x2e;
const ZERO = 0x30;

export function familyNumber(family: Family): number {
  return family === "inet" ? AF_INET : AF_INET6;
}

/** The family of a header's family byte; undefined for anything but IPv4 and IPv6. */
export function familyOf(number: number): Family | undefined {
  if (number === AF_INET) return "inet";
  return number === AF_INET6 ? "inet6" : undefined;
}

/** The longest prefix length of a family, in bits. */
export function addressBits(family: Family): number {
  return ADDRESS_BYTES[family] * 8;
}

function badAddress(text: string): CodecError {
  return new CodecError(`${JSON.stringify(text)} is not an IP address`);
}

/** Reads four decimal octets without leading zeros from `start` to `end`. */
function parseDotted(
  text: string,
  into: Uint8Array,
  at: number,
  start = 0,
  end = text.length,
): boolean {
  let octet = -1;
  let count = 0;
  for (let i = start; i <= end; i += 1) {
    const digit = i === end ? DOT : text.charCodeAt(i);
    if (digit === DOT) {
      if (octet < 0 || count === 4) return false;
      into[at + count] = octet;
      count += 1;
      octet = -1;
    } else {
      const value = digit - ZERO;
      if (value < 0 || value > 9 || octet === 0) return false;
      octet = octet < 0 ? value : octet * 10 + value;
      if (octet > 255) return false;
    }
  }
  return count === 4;
}

/** Groups of one half of an IPv6 address as bytes; the last may be dotted decimal. */
function parseGroups(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(ADDRESS_BYTES.inet6);
  if (text === "") return bytes.subarray(0, 0);
  const groups = text.split(":");
  let length = 0;
  for (const [index, group] of groups.entries()) {
    const dotted = index === groups.length - 1 && group.includes(".");
    if (length + (dotted ? 4 : 2) > bytes.length) return undefined;
    if (dotted) {
      if (!parseDotted(group, bytes, length)) return undefined;
      length += 4;
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes[length] = value >> 8;
      bytes[length + 1] = value & 0xff;
      length += 2;
    }
  }
  return bytes.subarray(0, length);
}

function parseColons(text: string): Uint8Array | undefined {
  const gap = text.indexOf("::");
  if (gap < 0) {
    const whole = parseGroups(text);
    return whole?.length === ADDRESS_BYTES.inet6 ? whole : undefined;
  }
  const head = parseGroups(text.slice(0, gap));
  const tail = parseGroups(text.slice(gap + 2));
  if (head === undefined || tail === undefined || text.slice(0, gap).includes(".")) {
    return undefined;
  }
  // "::" stands for at least one group of zeros.
  if (head.length + tail.length > ADDRESS_BYTES.inet6 - 2) return undefined;
  const bytes = new Uint8Array(ADDRESS_BYTES.inet6);
  bytes.set(head);
  bytes.set(tail, bytes.length - tail.length);
  return bytes;
}

/**
 * The 4 or 16 bytes of an address in network order.
 * @throws CodecError for text that is not an address, zones included
 */
export function parseIp(text: string): Uint8Array {
  if (text.includes(":")) {
    const bytes = parseColons(text);
    if (bytes === undefined) throw badAddress(text);
    return bytes;
  }
  const bytes = new Uint8Array(ADDRESS_BYTES.inet);
  if (!parseDotted(text, bytes, 0)) throw badAddress(text);
  return bytes;
}

/** @throws CodecError */
export function familyOfIp(text: string): Family {
  return parseIp(text).length === ADDRESS_BYTES.inet ? "inet" : "inet6";
}

/** The family that text of an address or a prefix can only be of; whether it is one shows when it is written. */
export function familyOfText(text: string): Family {
  return text.includes(":") ? "inet6" : "inet";
}

export function addressBytes(family: Family): number {
  return ADDRESS_BYTES[family];
}

/**
 * Writes an address where there are as many zero bytes as its family has.
 * @param end where its text ends
 * @throws CodecError for text that is not an address, zones included
 */
export function writeIp(
  text: string,
  into: Uint8Array,
  at: number,
  end: number = text.length,
): void {
  if (familyOfText(text) === "inet6") into.set(parseIp(text.slice(0, end)), at);
  else if (!parseDotted(text, into, at, 0, end)) throw badAddress(text.slice(0, end));
}

/** Start and length of the longest run of two or more zero groups, the first of equals. */
function zeroRun(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: -1, length: 1 };
  for (let start = 0; start < groups.length; start += 1) {
    let end = start;
    while (end < groups.length && groups[end] === 0) end += 1;
    if (end - start > best.length) best = { start, length: end - start };
    if (end > start) start = end - 1;
  }
  return best;
}

function formatColons(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < bytes.length; i += 2) {
    groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  }
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (mapped) return `::ffff:${bytes.subarray(12).join(".")}`;
  const zeros = zeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (zeros.start < 0) return hex.join(":");
  const head = hex.slice(0, zeros.start).join(":");
  return `${head}::${hex.slice(zeros.start + zeros.length).join(":")}`;
}

/**
 * Canonical text of an address. Source: RFC 5952.
 * @throws CodecError when it is neither 4 nor 16 bytes long
 */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === ADDRESS_BYTES.inet) {
    return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  }
  if (bytes.length === ADDRESS_BYTES.inet6) return formatColons(bytes);
  throw new CodecError(`an IP address of ${bytes.length} bytes`);
}

/** A prefix as the kernel takes it. */
export interface Prefix {
  readonly family: Family;
  readonly bytes: Uint8Array;
  readonly length: number;
}

/**
 * Reads `10.1.0.0/16`.
 * @throws CodecError for bad text, a length out of range, and bits set behind the length
 */
export function parsePrefix(text: string): Prefix {
  const family = familyOfText(text);
  const bytes = new Uint8Array(ADDRESS_BYTES[family]);
  return { family, bytes, length: writePrefix(text, bytes, 0) };
}

/**
 * Writes the address of a prefix where there are as many zero bytes as its family has.
 * @returns its length in bits
 * @throws CodecError as `parsePrefix`
 */
export function writePrefix(text: string, into: Uint8Array, at: number): number {
  const length = prefixLength(text);
  writeIp(text, into, at, text.indexOf("/"));
  const family = familyOfText(text);
  if (length > addressBits(family)) {
    throw new CodecError(`${JSON.stringify(text)} is longer than ${addressBits(family)} bits`);
  }
  for (let i = length >> 3; i < ADDRESS_BYTES[family]; i += 1) {
    const hostBits = i === length >> 3 ? 0xff >> (length & 7) : 0xff;
    if (((into[at + i] ?? 0) & hostBits) !== 0) {
      throw new CodecError(`${JSON.stringify(text)} has bits set behind its length`);
    }
  }
  return length;
}

/** In bits; whether the family has as many shows when the prefix is written. @throws CodecError for text that is not a prefix */
export function prefixLength(text: string): number {
  const slash = text.indexOf("/");
  const length = slash < 0 ? undefined : readLength(text, slash + 1);
  if (length === undefined) throw new CodecError(`${JSON.stringify(text)} is not a prefix`);
  return length;
}

/** Up to three digits without leading zeros, to the end of the text. */
function readLength(text: string, start: number): number | undefined {
  const digits = text.length - start;
  if (digits < 1 || digits > 3 || (digits > 1 && text.charCodeAt(start) === ZERO)) return undefined;
  let length = 0;
  for (let i = start; i < text.length; i += 1) {
    const digit = text.charCodeAt(i) - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    length = length * 10 + digit;
  }
  return length;
}

/** The prefix of a header: bytes absent for a length of 0. @throws CodecError */
export function formatPrefix(
  family: Family,
  bytes: Uint8Array | undefined,
  length: number,
): string {
  const address = bytes ?? new Uint8Array(ADDRESS_BYTES[family]);
  if (address.length !== ADDRESS_BYTES[family] || length > addressBits(family)) {
    throw new CodecError(`a ${family} prefix of ${address.length} bytes and length ${length}`);
  }
  return `${formatIp(address)}/${length}`;
}
