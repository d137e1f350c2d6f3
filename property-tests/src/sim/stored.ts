/** Reads what is in the store on its own: a second opinion beside the agent's parsers, on purpose not sharing code with them. */
import type { KeyValue } from "agent/subnet-manager/etcd/key-value-store.ts";
import { SUBNETS } from "./actors.ts";

/** An interval of addresses of one family. */
export interface Block {
  readonly bits: 32 | 128;
  readonly first: bigint;
  readonly last: bigint;
  readonly length: number;
  /** As the key spells it: `10.42.1.0/24`. */
  readonly text: string;
}

export interface StoredSubnets {
  readonly entry: KeyValue;
  readonly blocks: readonly Block[];
  /** `PublicIP` of the value; undefined when the value is no lease. */
  readonly owner: string | undefined;
  readonly value: Readonly<Record<string, unknown>>;
}

const cache = new WeakMap<KeyValue, StoredSubnets | undefined>();

/** Undefined for a key that names no subnet. */
export function readStored(entry: KeyValue): StoredSubnets | undefined {
  if (cache.has(entry)) return cache.get(entry);
  const stored = parse(entry);
  cache.set(entry, stored);
  return stored;
}

function parse(entry: KeyValue): StoredSubnets | undefined {
  const name = entry.key.slice(SUBNETS.length);
  const blocks: Block[] = [];
  for (const part of name.split("&")) {
    const dash = part.lastIndexOf("-");
    const block = dash < 0 ? undefined : blockOf(`${part.slice(0, dash)}/${part.slice(dash + 1)}`);
    if (block === undefined) return undefined;
    blocks.push(block);
  }
  if (blocks[0]?.bits !== 32 || blocks.length > 2) return undefined;
  const value = jsonObject(entry.value);
  const owner = value["PublicIP"];
  const readable = typeof owner === "string" && /^\d+\.\d+\.\d+\.\d+$/.test(owner);
  return { entry, blocks, owner: readable ? owner : undefined, value };
}

export function jsonObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

/** Undefined for what is no prefix, or has host bits. */
export function blockOf(text: string): Block | undefined {
  const [address = "", lengthText = "", ...more] = text.split("/");
  if (more.length > 0) return undefined;
  const bits = address.includes(":") ? 128 : 32;
  const base = bits === 32 ? dottedValue(address) : hexValue(address);
  const length = /^\d+$/.test(lengthText) ? Number(lengthText) : -1;
  if (base === undefined || length < 0 || length > bits) return undefined;
  const size = 1n << BigInt(bits - length);
  if (base % size !== 0n) return undefined;
  return { bits, first: base, last: base + size - 1n, length, text };
}

export function overlap(a: Block, b: Block): boolean {
  return a.bits === b.bits && a.first <= b.last && b.first <= a.last;
}

export function contains(outer: Block, inner: Block): boolean {
  return outer.bits === inner.bits && outer.first <= inner.first && inner.last <= outer.last;
}

function dottedValue(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    value = value * 256n + BigInt(part);
  }
  return value;
}

function hexValue(text: string): bigint | undefined {
  const [left = "", right] = text.split("::");
  const words = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const [before, after] = [words(left), words(right ?? "")];
  const missing = 8 - before.length - after.length;
  if (missing < 0 || (right === undefined && missing > 0)) return undefined;
  const all = [...before, ...Array.from({ length: missing }, () => "0"), ...after];
  let value = 0n;
  for (const word of all) {
    if (!/^[\da-f]{1,4}$/i.test(word)) return undefined;
    value = value * 65_536n + BigInt(`0x${word}`);
  }
  return value;
}
