import { expect, test } from "vitest";
import { addLink, changeLink } from "./link.ts";
import { NetworkNamespace } from "./namespaces.ts";
import { RouteSocket } from "./route-socket.ts";
import { must } from "./testing/fixture.ts";
import { iproute2 } from "./testing/iproute2.ts";
import { requires } from "./testing/requires.ts";
import { moduleUrl, runScript } from "./testing/run-script.ts";

/** Of a datagram's headers: Ethernet, IPv4, UDP. */
const HEADERS_BYTES = 42;

const QUEUE_WITHIN_MS = 10_000;

interface Seen {
  /** What the datagram begins with. */
  readonly number: number;
  readonly sentMs: number;
  readonly cameMs: number;
  /** Hexadecimal. */
  readonly source: string;
  readonly bytes: string;
}

interface Outcome {
  readonly seen: readonly Seen[];
  /** ARP packets that were sent and that came, hexadecimal. */
  readonly arp: Readonly<Record<"sent" | "came", readonly string[]>>;
  readonly counts: Readonly<Record<string, number>>;
  /** Of the processor, while frames waited. */
  readonly waitedCpuMs: number;
}

/** Until the kernel has given `u0` its queue: what is sent before is dropped, and nobody is told. */
function waitForQueue(namespace: NetworkNamespace): void {
  const beganMs = performance.now();
  while (iproute2("ip", namespace, "link", "show", "u0")[0]?.["operstate"] !== "UP") {
    if (performance.now() - beganMs > QUEUE_WITHIN_MS) throw new Error("u0 is not up");
  }
}

/**
 * Sends numbered datagrams of zeros to `wire0`, whose line leads to `u0`, and looks at the other end, `u1`. All in a namespace
 * that ends with it, in a process that is inside.
 */
async function carry(
  table: readonly (readonly [delayUs: number, bit?: number])[],
  { datagrams = table.length, payloadBytes = 100, before = "", after = "", options = "" },
): Promise<Outcome> {
  using namespace = NetworkNamespace.create();
  using socket = RouteSocket.open({ namespace: namespace.path });
  await must(socket, addLink({ name: "u0", kind: "veth", up: true, peer: { name: "u1" } }));
  await must(socket, changeLink({ name: "u1" }, { up: true }));
  waitForQueue(namespace);
  const { stdout, stderr, status } = runScript(
    `import { createSocket } from "node:dgram";
    import { DelayLine, PacketRing, RouteSocket, addAddress, addNeighbour, changeLink } from ${moduleUrl("index.ts")};
    const fates = ${JSON.stringify(table)}.map(([delayUs, bit]) => ({ delayUs, bit }));
    const line = DelayLine.open({
      tap: "wire0", link: "u0", mark: 7, direct: false, groupSource: false, fates, ${options}
    });
    const socket = RouteSocket.open();
    const indexOf = async (name) => (await socket.link({ name })).index;
    const linkIndex = await indexOf("wire0");
    const far = await indexOf("u1");
    const ring = PacketRing.open();
    // Too small for IPv6, which would send packets of its own into the line.
    await socket.execute([changeLink({ index: linkIndex }, { mtu: 1200, up: true })]);
    await socket.execute([
      addAddress({ linkIndex, address: "192.0.2.1", prefixLength: 24 }),
      addNeighbour({ linkIndex, address: "192.0.2.2", mac: "0e:00:00:00:00:02" }),
    ]);
    const sender = createSocket("udp4");
    await new Promise((bound) => sender.bind(1000, bound));
    ${before}
    for (let number = 0; number < ${datagrams}; number += 1) {
      const packet = Buffer.alloc(${payloadBytes});
      packet.writeUInt32BE(number);
      await new Promise((sent) => sender.send(packet, 9, "192.0.2.2", sent));
    }
    sender.close();
    ${after}
    const again = () => new Promise((resolve) => setTimeout(resolve, 1));
    const isDone = () => {
      const { received, sent, refused, dropped } = line.counts();
      return received >= ${datagrams} && sent + refused + dropped === received;
    };
    const { user, system } = process.cpuUsage();
    while (!isDone()) await again();
    const spent = process.cpuUsage({ user, system });
    line.close();
    const viewOf = ({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const numberOf = (packet) => viewOf(packet).getUint32(${HEADERS_BYTES});
    const atMs = ({ seconds, nanoseconds }) => (seconds % 100_000) * 1000 + nanoseconds / 1e6;
    const isOurs = (one) => one.bytes.length >= ${HEADERS_BYTES} + 4 && viewOf(one).getUint16(36) === 9;
    const look = () => {
      const { packets } = ring.read();
      const sent = new Map(packets.filter((one) => one.linkIndex === linkIndex && isOurs(one)).map((one) => [numberOf(one), atMs(one)]));
      return packets.filter((one) => one.linkIndex === far && !one.isOutgoing && isOurs(one)).map((one) => ({
        number: numberOf(one),
        sentMs: sent.get(numberOf(one)),
        cameMs: atMs(one),
        source: Buffer.from(one.bytes.subarray(6, 12)).toString("hex"),
        bytes: Buffer.from(one.bytes).toString("hex"),
      }));
    };
    // The kernel hands over to the other end when it has the time.
    while (look().length < ${datagrams} && line.counts().refused === 0) await again();
    const arpAt = (index, isOutgoing) => ring.read().packets
      .filter((one) => one.linkIndex === index && one.isOutgoing === isOutgoing && viewOf(one).getUint16(12) === 0x0806)
      .map(({ bytes }) => Buffer.from(bytes).toString("hex"));
    const arp = { sent: arpAt(linkIndex, true), came: arpAt(far, false) };
    console.log(JSON.stringify({ seen: look(), arp, counts: line.counts(), waitedCpuMs: (spent.user + spent.system) / 1000 }));
    socket.close();
    process.exit();`,
    ["nsenter", `--net=${namespace.path}`],
  );
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Outcome;
}

const numbers = ({ seen }: Outcome): number[] => seen.map(({ number }) => number);

requires("netns", "tun")("a delay line", () => {
  test("sends each frame after its own time, never before it, and those of one time in their order", async () => {
    const delays = [800_000, 0, 400_000, 800_000, 0, 400_000];
    const outcome = await carry(
      delays.map((delayUs) => [delayUs]),
      {},
    );
    expect(numbers(outcome)).toEqual([1, 4, 2, 5, 0, 3]);
    for (const { number, sentMs, cameMs } of outcome.seen) {
      expect(cameMs - sentMs).toBeGreaterThanOrEqual((delays[number] ?? 0) / 1000);
    }
    expect(outcome.counts).toEqual({ received: 6, sent: 6, refused: 0, dropped: 0 });
  });

  test("begins its table again after its end", async () => {
    const outcome = await carry([[400_000], [0]], { datagrams: 6 });
    expect(numbers(outcome)).toEqual([1, 3, 5, 0, 2, 4]);
  });

  test("turns around the one bit that it is told, behind the addresses, and no other", async () => {
    const payloadBit = (HEADERS_BYTES - 12 + 4) * 8;
    const frameBits = (HEADERS_BYTES - 12 + 100) * 8;
    const { seen } = await carry([[0], [0, payloadBit], [0, payloadBit + frameBits + 9]], {});
    const [sound, first, second] = seen.map(({ bytes }) => bytes.slice(2 * (HEADERS_BYTES + 4)));
    expect(sound).toBe("00".repeat(96));
    expect(first).toBe(`01${"00".repeat(95)}`);
    expect(second).toBe(`0002${"00".repeat(94)}`);
  });

  test("completes the checksum of what it is given before a bit is turned", async () => {
    const { seen } = await carry([[0], [0, (HEADERS_BYTES - 12 + 4) * 8]], {});
    const checksums = seen.map(({ bytes }) => Number.parseInt(bytes.slice(80, 84), 16));
    // One bit less in the number, and nothing else: the sum of the second differs from that of the first by it alone.
    expect((checksums[0] ?? 0) - (checksums[1] ?? 0)).toBe(1);
    expect(checksums[0]).not.toBe(0);
  });

  test("turns nothing around in ARP packets, which nobody could tell from sound ones", async () => {
    const { arp } = await carry([[0, 100]], {
      // Nobody knows who has that address.
      before: `await new Promise((sent) => sender.send(Buffer.alloc(1), 9, "192.0.2.3", sent));
        while (line.counts().sent === 0) await new Promise((resolve) => setTimeout(resolve, 1));`,
    });
    expect(arp.sent.length).toBeGreaterThan(0);
    expect(arp.came).toEqual(arp.sent);
  });

  test("marks the source address where it is told to", async () => {
    const plain = await carry([[0]], {});
    const marked = await carry([[0]], { options: "groupSource: true, direct: true" });
    const firstByte = ({ seen }: Outcome): number =>
      Number.parseInt(seen[0]?.source.slice(0, 2) ?? "", 16);
    expect(firstByte(plain) & 1).toBe(0);
    expect(firstByte(marked) & 1).toBe(1);
  });

  test("tells what its link refused from what it lost itself", async () => {
    const down = `await socket.execute([changeLink({ name: "u0" }, { up: false })]);`;
    const { counts } = await carry([[400_000]], { datagrams: 5, after: down });
    expect(counts).toEqual({ received: 5, sent: 0, refused: 5, dropped: 0 });
  });

  test("sends what waits at once when it is closed", async () => {
    const outcome = await carry([[20_000_000], [10_000_000]], {
      datagrams: 4,
      after: `while (line.counts().received < 4) await new Promise((resolve) => setImmediate(resolve)); line.close();`,
    });
    expect(numbers(outcome)).toEqual([1, 3, 0, 2]);
  });

  test("survives that somebody takes its device away, and that its link goes", async () => {
    const { counts, waitedCpuMs } = await carry([[1_500_000]], {
      datagrams: 3,
      after: `while (line.counts().received < 3) await new Promise((resolve) => setImmediate(resolve));
        const { removeLink } = await import(${moduleUrl("index.ts")});
        await socket.execute([removeLink({ name: "wire0" }), removeLink({ name: "u0" })]);`,
    });
    expect(counts).toEqual({ received: 3, sent: 0, refused: 3, dropped: 0 });
    // A thread that looked at the lost device again and again would have taken most of that time.
    expect(waitedCpuMs).toBeLessThan(500);
  });

  test("says what it lacks", () => {
    const open = (options: string): string =>
      runScript(
        `import { DelayLine } from ${moduleUrl("index.ts")};
        DelayLine.open({ tap: "wire0", link: "u9", mark: 0, direct: false, groupSource: false, fates: [{ delayUs: 0 }], ${options} });`,
        ["unshare", "-rn"],
      ).stderr;
    expect(open("")).toContain("cannot make the delay line wire0 to u9: ENODEV");
    expect(open(`namespace: "/nonexistent/netns"`)).toContain("ENOENT");
    expect(open(`tap: "a-name-that-is-too-long"`)).toContain("wrong arguments");
    expect(open(`fates: []`)).toContain("wrong arguments");
  });
});
