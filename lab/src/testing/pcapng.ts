/** Reads back what the lab's packet files hold, by the draft's own words and nothing of the writer's. */
export interface ReadPacket {
  /** The name of its interface. */
  readonly port: string;
  readonly inbound: boolean;
  /** Of the wall clock, milliseconds since 1970. */
  readonly atMs: number;
  readonly bytes: Buffer;
  readonly lengthBytes: number;
}

interface Option {
  readonly code: number;
  readonly value: Buffer;
}

/** A packet file as a test looks at it. @throws RangeError for a file that is none, or torn */
export function readPcapng(file: Buffer): {
  readonly comment: string;
  readonly packets: readonly ReadPacket[];
} {
  const ports: string[] = [];
  const packets: ReadPacket[] = [];
  let comment = "";
  for (let at = 0; at < file.length;) {
    const type = file.readUInt32LE(at);
    const length = file.readUInt32LE(at + 4);
    if (length % 4 !== 0 || length < 12 || file.readUInt32LE(at + length - 4) !== length) {
      throw new RangeError(`a block at ${at} whose two lengths differ`);
    }
    const body = file.subarray(at + 8, at + length - 4);
    if (type === 0x0a0d_0d0a) {
      if (body.readUInt32LE(0) !== 0x1a2b_3c4d) {
        throw new RangeError("another byte order");
      }
      comment = textOf(optionsOf(body.subarray(16)), 1);
    } else if (type === 1) {
      const options = optionsOf(body.subarray(8));
      // Nanoseconds, Ethernet.
      if (body.readUInt16LE(0) !== 1 || options.find(({ code }) => code === 9)?.value[0] !== 9) {
        throw new RangeError("another link type or resolution");
      }
      ports.push(textOf(options, 2));
    } else if (type === 6) {
      packets.push(packetOf(body, ports));
    }
    at += length;
  }
  return { comment, packets };
}

function packetOf(body: Buffer, ports: readonly string[]): ReadPacket {
  const captured = body.readUInt32LE(12);
  const time = BigInt(body.readUInt32LE(4)) * 2n ** 32n + BigInt(body.readUInt32LE(8));
  const options = optionsOf(body.subarray(20 + Math.ceil(captured / 4) * 4));
  const flags = options.find(({ code }) => code === 2)?.value.readUInt32LE(0) ?? 0;
  return {
    port: ports[body.readUInt32LE(0)] ?? "",
    inbound: (flags & 3) === 1,
    atMs: Number(time / 1_000_000n),
    bytes: body.subarray(20, 20 + captured),
    lengthBytes: body.readUInt32LE(16),
  };
}

function optionsOf(bytes: Buffer): readonly Option[] {
  const options: Option[] = [];
  for (let at = 0; at < bytes.length;) {
    const [code, length] = [bytes.readUInt16LE(at), bytes.readUInt16LE(at + 2)];
    options.push({ code, value: bytes.subarray(at + 4, at + 4 + length) });
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return options;
}

function textOf(options: readonly Option[], code: number): string {
  return options.find((option) => option.code === code)?.value.toString("utf8") ?? "";
}
