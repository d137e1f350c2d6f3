/**
 * As much of Protocol Buffers as etcd's messages need: fields by number, varints and lengths. Source: protobuf.dev "Encoding".
 */

/** How a field is written: `int64` and `uint64` are decimal text here, because a lease id does not fit in a number. */
type Scalar = "bytes" | "string" | "int64" | "uint64" | "bool";

interface Field {
  readonly number: number;
  /** A list of names stands for an enumeration, which is counted from 0. */
  readonly kind: Scalar | readonly string[] | MessageType;
  readonly repeated: boolean;
}

/** The fields of a message, by name and by number. */
export class MessageType {
  readonly fields: ReadonlyMap<string, Field>;
  readonly byNumber: ReadonlyMap<number, readonly [name: string, field: Field]>;

  constructor(fields: Readonly<Record<string, Field>>) {
    this.fields = new Map(Object.entries(fields));
    this.byNumber = new Map([...this.fields].map((entry) => [entry[1].number, entry]));
  }
}

export function one(number: number, kind: Field["kind"]): Field {
  return { number, kind, repeated: false };
}

export function many(number: number, kind: Field["kind"]): Field {
  return { number, kind, repeated: true };
}

/** What a value looks like: bytes and text as they are, whole numbers as a number or decimal text. */
export interface Values {
  readonly [name: string]: unknown;
}

/** Bytes that are no message of the type. */
export class ProtobufError extends Error {
  override readonly name = "ProtobufError";
}

const [VARINT, FIXED64, LENGTH, FIXED32] = [0, 1, 2, 5];
const TAG_BITS = 3;
const BYTE_BITS = 7;
const MORE = 0x80;

/** Members that are undefined are left out. @throws ProtobufError for a member that the type does not have */
export function encodeMessage(type: MessageType, values: Values): Buffer {
  const parts: Uint8Array[] = [];
  for (const [name, value] of Object.entries(values)) {
    const field = type.fields.get(name);
    if (field === undefined) throw new ProtobufError(`there is no field ${name}`);
    if (value === undefined) continue;
    for (const item of field.repeated ? (value as readonly unknown[]) : [value])
      encodeField(parts, field, item);
  }
  return Buffer.concat(parts);
}

function encodeField(parts: Uint8Array[], { number, kind }: Field, value: unknown): void {
  const tag = number * 2 ** TAG_BITS;
  const whole =
    kind === "bool"
      ? Number(value)
      : kind === "int64" || kind === "uint64"
        ? (value as string | number)
        : undefined;
  if (whole !== undefined) parts.push(varint(tag + VARINT), varint(whole));
  else if (Array.isArray(kind)) {
    const index = kind.indexOf(value);
    if (index < 0) throw new ProtobufError(`${String(value)} is none of ${kind.join(", ")}`);
    parts.push(varint(tag + VARINT), varint(index));
  } else {
    const bytes =
      kind instanceof MessageType
        ? encodeMessage(kind, value as Values)
        : typeof value === "string"
          ? Buffer.from(value)
          : (value as Uint8Array);
    parts.push(varint(tag + LENGTH), varint(bytes.length), bytes);
  }
}

/** Negative numbers as two's complement of 64 bits. */
function varint(value: string | number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= MORE; rest >>= BigInt(BYTE_BITS)) bytes.push(Number(rest & 0x7fn) | MORE);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

/**
 * Members that are not in the bytes have their defaults, a message that is not there is left out, and fields of a newer
 * protocol are passed over.
 * @throws ProtobufError
 */
export function decodeMessage(type: MessageType, bytes: Buffer): Values {
  const values: Record<string, unknown> = {};
  for (const [name, { kind, repeated }] of type.fields)
    if (repeated) values[name] = [];
    else if (!(kind instanceof MessageType)) values[name] = defaultOf(kind);
  const reader = new Reader(bytes);
  while (!reader.isAtEnd) {
    const tag = Number(reader.varint());
    const [number, wire] = [Math.floor(tag / 2 ** TAG_BITS), tag % 2 ** TAG_BITS];
    const [name, field] = type.byNumber.get(number) ?? [];
    if (name === undefined || field === undefined || wire !== wireOf(field)) {
      reader.skip(wire);
      continue;
    }
    const value = decodeValue(field.kind, reader);
    if (field.repeated) (values[name] as unknown[]).push(value);
    else values[name] = value;
  }
  return values;
}

function wireOf({ kind }: Field): number {
  return kind instanceof MessageType || kind === "bytes" || kind === "string" ? LENGTH : VARINT;
}

function defaultOf(kind: Scalar | readonly string[]): unknown {
  switch (kind) {
    case "bytes":
      return Buffer.alloc(0);
    case "string":
      return "";
    case "bool":
      return false;
    case "int64":
    case "uint64":
      return "0";
    default:
      return kind[0];
  }
}

function decodeValue(kind: Field["kind"], reader: Reader): unknown {
  if (kind instanceof MessageType) return decodeMessage(kind, reader.bytes());
  switch (kind) {
    case "bytes":
      return reader.bytes();
    case "string":
      return reader.bytes().toString("utf8");
    case "bool":
      return reader.varint() !== 0;
    case "int64":
    case "uint64": {
      const value = reader.varint();
      return String(
        kind === "int64" && typeof value === "bigint" ? BigInt.asIntN(64, value) : value,
      );
    }
    default: {
      const value = reader.varint();
      return kind[Number(value)] ?? String(value);
    }
  }
}

/** Reads on, never past the end. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** A number while it is exact, else a bigint of at most 64 bits. */
  varint(): number | bigint {
    let value = 0;
    for (let shift = 0; shift < MAX_EXACT_BITS; shift += BYTE_BITS) {
      const byte = this.#byte();
      value += (byte & ~MORE) * 2 ** shift;
      if (byte < MORE) return value;
    }
    let long = BigInt(value);
    for (let shift = MAX_EXACT_BITS; shift < 64; shift += BYTE_BITS) {
      const byte = this.#byte();
      long |= BigInt(byte & ~MORE) << BigInt(shift);
      if (byte < MORE) return BigInt.asUintN(64, long);
    }
    throw new ProtobufError("a number has more than 64 bits");
  }

  bytes(): Buffer {
    const length = Number(this.varint());
    return this.#take(length);
  }

  skip(wire: number): void {
    switch (wire) {
      case VARINT:
        this.varint();
        break;
      case FIXED64:
        this.#take(8);
        break;
      case LENGTH:
        this.bytes();
        break;
      case FIXED32:
        this.#take(4);
        break;
      default:
        throw new ProtobufError(`a field is of the unknown wire type ${wire}`);
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new ProtobufError("a message ends in the middle");
    return byte;
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new ProtobufError("a message ends in the middle");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

/** Seven groups of seven bits: the largest that a number holds exactly. */
const MAX_EXACT_BITS = 49;
