/**
 * IP addresses and prefixes as canonical text, so that equal values are equal strings: they compare with `===`, key a Map
 * and print as they are. The family is read off the text; arithmetic goes through bigint.
 */
import { AgentError } from "./errors.ts";

declare const ipBrand: unique symbol;
declare const cidrBrand: unique symbol;

/** 4 or 6. */
export type Family = 4 | 6;
/** Canonical address: dotted quad, or RFC 5952 text for IPv6. */
export type Ip = string & { readonly [ipBrand]: true };
/** Canonical `address/length`; host bits may be set where an address on a link is meant. */
export type Cidr = string & { readonly [cidrBrand]: true };

export const FAMILIES: readonly Family[] = [4, 6];

/** Width of an address in bits. */
export function familyBits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

export function familyOf(address: Ip | Cidr): Family {
  return address.includes(":") ? 6 : 4;
}

/** A value per family; absent means that the family is not in use. */
export type PerFamily<T> = Readonly<Partial<Record<Family, T>>>;

const [NEITHER, FIRST, SECOND, BOTH] = ["{}", '{"4":0}', '{"6":0}', '{"4":0,"6":0}'].map(
  (text) => JSON.parse(text) as object,
);

/**
 * The same as a literal, in half the memory: V8 gives an object with numbers for keys room for 23 of them, but not one that was read
 * from JSON, nor its copies. Of each lease there are three.
 */
export function perFamily<T>(four: T | undefined, six: T | undefined): PerFamily<T> {
  if (four === undefined && six === undefined) return { ...NEITHER };
  const shape = six === undefined ? FIRST : four === undefined ? SECOND : BOTH;
  const made: Partial<Record<Family, T>> = { ...shape };
  if (four !== undefined) made[4] = four;
  if (six !== undefined) made[6] = six;
  return made;
}

/**
 * Reads a dotted quad without leading zeros, or any RFC 4291 text.
 * IPv4-mapped IPv6 addresses are refused: flannel prints them as IPv4, so they cannot round-trip (spec 02 section 5).
 * @throws AgentError "config-invalid"
 */
export function parseIp(text: string): Ip {
  const family: Family = text.includes(":") ? 6 : 4;
  // A dotted quad has one text only, so what can be read is canonical.
  if (family === 4 && quadNumber(text) !== undefined) return text as Ip;
  const value = family === 4 ? quadValue(text) : hextetsValue(text);
  if (value === undefined)
    throw new AgentError("config-invalid", `invalid IP address: ${clip(text)}`);
  if (family === 6 && value >> 32n === 0xffffn)
    throw new AgentError("config-invalid", `IPv4-mapped IPv6 address not supported: ${clip(text)}`);
  return formatIp(family, value);
}

/**
 * Reads `address/length`, keeping host bits.
 * @throws AgentError "config-invalid"
 */
export function parseCidr(text: string): Cidr {
  const [addressText, lengthText, ...rest] = text.split("/");
  if (
    addressText === undefined ||
    lengthText === undefined ||
    rest.length > 0 ||
    !/^\d{1,3}$/.test(lengthText)
  )
    throw new AgentError("config-invalid", `invalid CIDR address: ${clip(text)}`);
  const address = parseIp(addressText);
  const length = Number(lengthText);
  if (length > familyBits(familyOf(address)))
    throw new AgentError("config-invalid", `invalid CIDR address: ${clip(text)}`);
  return cidr(address, length);
}

/** The same for text that may well be something else. */
export function tryParseIp(text: string): Ip | undefined {
  return unlessInvalid(() => parseIp(text));
}

export function tryParseCidr(text: string): Cidr | undefined {
  return unlessInvalid(() => parseCidr(text));
}

export function cidr(address: Ip, length: number): Cidr {
  return `${address}/${length}` as Cidr;
}

export function cidrAddress(value: Cidr): Ip {
  return value.slice(0, value.indexOf("/")) as Ip;
}

export function cidrLength(value: Cidr): number {
  let length = 0;
  for (let index = value.indexOf("/") + 1; index < value.length; index++)
    length = length * 10 + value.charCodeAt(index) - DIGIT_0;
  return length;
}

/** The single-address prefix of an address: /32 or /128. */
export function hostCidr(address: Ip): Cidr {
  return cidr(address, familyBits(familyOf(address)));
}

/** The numeric value of an address, most significant bit first. */
export function ipValue(address: Ip): bigint {
  const value = familyOf(address) === 4 ? quadValue(address) : hextetsValue(address);
  if (value === undefined) throw new AgentError("config-invalid", `invalid IP address: ${address}`);
  return value;
}

/** The address of a value, wrapped into the width of the family. */
export function formatIp(family: Family, value: bigint): Ip {
  const wrapped = BigInt.asUintN(familyBits(family), value);
  return (family === 4 ? formatQuad(Number(wrapped)) : formatHextets(wrapped)) as Ip;
}

/** The address `offset` places further, wrapping at the end of the family's range. */
export function addToIp(address: Ip, offset: bigint): Ip {
  return formatIp(familyOf(address), ipValue(address) + offset);
}

/** Negative, zero or positive; IPv4 sorts before IPv6. */
export function compareIp(a: Ip, b: Ip): number {
  const quad = quadNumber(a);
  const other = quadNumber(b);
  if (quad !== undefined && other !== undefined) return quad - other;
  if (familyOf(a) !== familyOf(b)) return familyOf(a) - familyOf(b);
  const difference = ipValue(a) - ipValue(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** Whether bits behind the prefix are set, so that it is more than a prefix. */
export function hasHostBits(value: Cidr): boolean {
  const quad = cidrQuad(value);
  if (quad === undefined) return maskCidr(value) !== value;
  return quad % 2 ** (familyBits(4) - cidrLength(value)) !== 0;
}

/** The prefix with its host bits cleared. */
export function maskCidr(value: Cidr): Cidr {
  const length = cidrLength(value);
  const quad = cidrQuad(value);
  if (quad !== undefined) {
    const size = 2 ** (familyBits(4) - length);
    return cidr(formatQuad(quad - (quad % size)) as Ip, length);
  }
  const address = cidrAddress(value);
  const hostBits = BigInt(familyBits(familyOf(address)) - length);
  return cidr(formatIp(familyOf(address), (ipValue(address) >> hostBits) << hostBits), length);
}

/** Whether an address, or every address of a prefix, lies inside a prefix. */
export function containsIp(outer: Cidr, inner: Ip | Cidr): boolean {
  const length = cidrLength(outer);
  const innerLength = inner.includes("/") ? cidrLength(inner as Cidr) : familyBits(familyOf(inner));
  return innerLength >= length && samePrefix(outer, inner, length);
}

/** Two prefixes overlap exactly if they agree on the shorter of their lengths. */
export function overlaps(a: Cidr, b: Cidr): boolean {
  return samePrefix(a, b, Math.min(cidrLength(a), cidrLength(b)));
}

function samePrefix(a: Ip | Cidr, b: Ip | Cidr, length: number): boolean {
  const quad = cidrQuad(a);
  const other = cidrQuad(b);
  if (quad !== undefined && other !== undefined) {
    const shift = familyBits(4) - length;
    // A shift by 32 would be one by 0.
    return length === 0 || quad >>> shift === other >>> shift;
  }
  const family = familyOf(a);
  if (family !== familyOf(b)) return false;
  const shift = BigInt(familyBits(family) - length);
  return addressValue(a) >> shift === addressValue(b) >> shift;
}

function addressValue(value: Ip | Cidr): bigint {
  return ipValue(value.includes("/") ? cidrAddress(value as Cidr) : (value as Ip));
}

/** 224.0.0.0/4 (RFC 5771), ff00::/8 (RFC 4291). */
export function isMulticast(address: Ip): boolean {
  const quad = quadNumber(address);
  return quad === undefined ? ipValue(address) >> 120n === 0xffn : quad >>> 28 === 0xe;
}

/** 127.0.0.0/8 (RFC 1122), ::1 (RFC 4291). */
export function isLoopback(address: Ip): boolean {
  const quad = quadNumber(address);
  return quad === undefined ? ipValue(address) === 1n : quad >>> 24 === 127;
}

/** 169.254.0.0/16 (RFC 3927), fe80::/10 (RFC 4291). */
export function isLinkLocal(address: Ip): boolean {
  const quad = quadNumber(address);
  return quad === undefined ? ipValue(address) >> 118n === 0x3fan : quad >>> 16 === 0xa9fe;
}

/** 0.0.0.0 or ::. */
export function isUnspecified(address: Ip): boolean {
  return Number(quadNumber(address) ?? ipValue(address)) === 0;
}

/** Unicast beyond the link, private ranges included, as Go's IsGlobalUnicast means it. */
export function isGlobalUnicast(address: Ip): boolean {
  return (
    address !== "255.255.255.255" &&
    !isUnspecified(address) &&
    !isLoopback(address) &&
    !isMulticast(address) &&
    !isLinkLocal(address)
  );
}

function quadValue(text: string): bigint | undefined {
  const value = quadNumber(text);
  return value === undefined ? undefined : BigInt(value);
}

const DIGIT_0 = 48;
const DOT = 46;

/** Of an IPv4 address or prefix. */
function cidrQuad(value: Ip | Cidr): number | undefined {
  const end = value.indexOf("/");
  return quadNumber(value, end === -1 ? value.length : end);
}

/** Read by hand: a node with thousands of peers reads tens of thousands of addresses in each look at its kernel. */
function quadNumber(text: string, end: number = text.length): number | undefined {
  let value = 0;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let index = 0; index < end; index++) {
    const code = text.charCodeAt(index);
    if (code === DOT) {
      if (digits === 0 || ++dots > 3) return undefined;
      value = value * 256 + octet;
      octet = 0;
      digits = 0;
      continue;
    }
    const digit = code - DIGIT_0;
    // No leading zeros: they mean octal to some readers.
    if (digit < 0 || digit > 9 || (digits > 0 && octet === 0)) return undefined;
    octet = octet * 10 + digit;
    digits++;
    if (octet > 255) return undefined;
  }
  return dots === 3 && digits > 0 ? value * 256 + octet : undefined;
}

function formatQuad(value: number): string {
  return `${Math.floor(value / 0x1000000)}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function hextetsValue(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = hextets(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? hextets(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  // "::" stands for at least one group of zeros.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  let value = 0n;
  for (const group of [...head, ...Array<number>(missing).fill(0), ...tail])
    value = (value << 16n) | BigInt(group);
  return value;
}

/** The groups of one side of `::`; an embedded dotted quad counts as two and may only end the text. */
function hextets(text: string, mayEndInQuad: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (mayEndInQuad && index === parts.length - 1 && part.includes(".")) {
      const quad = quadValue(part);
      if (quad === undefined) return undefined;
      groups.push(Number(quad >> 16n), Number(quad & 0xffffn));
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups compressed, leftmost on a tie. */
function formatHextets(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) =>
    Number((value >> BigInt(112 - 16 * index)) & 0xffffn),
  );
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  if (best.start === -1) return joinGroups(groups);
  return `${joinGroups(groups.slice(0, best.start))}::${joinGroups(groups.slice(best.start + best.length))}`;
}

function joinGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(":");
}

function unlessInvalid<Value>(parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof AgentError) return undefined;
    throw error;
  }
}

function clip(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}
