import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { addAddress } from "./address.ts";
import { addLink, changeLink } from "./link.ts";
import { NetworkNamespace } from "./namespaces.ts";
import { addNeighbour } from "./neighbour.ts";
import { type CapturedPacket, PacketRing } from "./packet-ring.ts";
import { RouteSocket } from "./route-socket.ts";
import { linkNamed, must } from "./testing/fixture.ts";
import { requires } from "./testing/requires.ts";
import { runScript } from "./testing/run-script.ts";

const PORT = 8472;
/** Of a datagram's headers: Ethernet, IPv4, UDP. */
const HEADERS_BYTES = 14 + 20 + 8;
/** As much of a packet as a slot of the ring has room for. */
const CAPTURED_BYTES = 446;
const PACKETS_OF_A_BLOCK = 128;
/** Either end of a link sees a packet. */
const ENDS = 2;

/** A namespace with both ends of a link, and a neighbour beyond one of them who is nobody. */
class Wire {
  readonly namespace: NetworkNamespace = NetworkNamespace.create();
  readonly socket: RouteSocket = RouteSocket.open({ namespace: this.namespace.path });
  #near = 0;

  static async open(): Promise<Wire> {
    const wire = new Wire();
    const { socket } = wire;
    await must(socket, addLink({ name: "u0", kind: "veth", up: true, peer: { name: "u1" } }));
    const far = (await linkNamed(socket, "u1")).index;
    const linkIndex = (await linkNamed(socket, "u0")).index;
    wire.#near = linkIndex;
    await must(
      socket,
      changeLink({ index: far }, { up: true }),
      addAddress({ linkIndex, address: "192.0.2.1", prefixLength: 24 }),
      addNeighbour({ linkIndex, address: "192.0.2.2", mac: "0e:00:00:00:00:02" }),
    );
    return wire;
  }

  get near(): number {
    return this.#near;
  }

  /** Sends datagrams, each with its number in front, and comes back when they were sent. */
  send(count: number, bytes: number): void {
    const { stderr, status } = runScript(
      `import { createSocket } from "node:dgram";
      const socket = createSocket("udp4");
      for (let number = 0; number < ${count}; number += 1) {
        const packet = Buffer.alloc(${bytes});
        packet.writeUInt32BE(number);
        await new Promise((sent) => socket.send(packet, ${PORT}, "192.0.2.2", sent));
      }
      socket.close();`,
      ["nsenter", `--net=${this.namespace.path}`],
    );
    if (status !== 0) throw new Error(stderr);
  }

  [Symbol.dispose](): void {
    this.socket.close();
    this.namespace.close();
  }
}

const viewOf = ({ bytes }: CapturedPacket): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The numbers of datagrams among packets of one link. */
function numbersOf(packets: readonly CapturedPacket[], linkIndex: number): number[] {
  return packets
    .filter((packet) => packet.linkIndex === linkIndex && packet.bytes.length >= HEADERS_BYTES + 4)
    .filter((packet) => viewOf(packet).getUint16(36) === PORT)
    .map((packet) => viewOf(packet).getUint32(HEADERS_BYTES));
}

requires("netns")("a packet ring", () => {
  test("has what leaves and what comes in, with its link, its time and its length", async () => {
    using wire = await Wire.open();
    using ring = PacketRing.open({ namespace: wire.namespace.path });
    const beginSeconds = Date.now() / 1000 - 1;
    wire.send(3, 1000);
    const { packets, lost } = ring.read();
    expect(lost).toBe(0);
    expect(numbersOf(packets, wire.near)).toEqual([0, 1, 2]);
    const out = packets.filter(
      ({ linkIndex, lengthBytes }) =>
        linkIndex === wire.near && lengthBytes === 1000 + HEADERS_BYTES,
    );
    expect(out).toHaveLength(3);
    for (const packet of out) {
      expect(packet.isOutgoing).toBe(true);
      expect(packet.bytes).toHaveLength(CAPTURED_BYTES);
      expect(packet.seconds).toBeGreaterThanOrEqual(Math.floor(beginSeconds));
      expect(packet.seconds).toBeLessThanOrEqual(Date.now() / 1000);
    }
    const came = packets.filter(({ isOutgoing }) => !isOutgoing);
    expect(came.some(({ lengthBytes }) => lengthBytes === 1000 + HEADERS_BYTES)).toBe(true);
    // Reading takes nothing away.
    expect(numbersOf(ring.read().packets, wire.near)).toEqual([0, 1, 2]);
  });

  test("keeps the last of them as long as somebody advances it, and no more than it has room for", async () => {
    using wire = await Wire.open();
    const blocks = 4;
    using ring = PacketRing.open({ namespace: wire.namespace.path, blocks });
    const batch = (PACKETS_OF_A_BLOCK * blocks) / 4 / ENDS;
    for (let round = 0; round < 8; round += 1) {
      wire.send(batch - 10, 100);
      ring.advance();
    }
    const { packets, lost } = ring.read();
    expect(lost).toBe(0);
    expect(packets.length).toBeGreaterThan((PACKETS_OF_A_BLOCK * blocks) / 2);
    expect(packets.length).toBeLessThanOrEqual(PACKETS_OF_A_BLOCK * blocks);
    expect(numbersOf(packets, wire.near).at(-1)).toBe(batch - 11);
  });

  test("counts what it has no room for, and goes on when there is some again", async () => {
    using wire = await Wire.open();
    using ring = PacketRing.open({ namespace: wire.namespace.path, blocks: 1 });
    wire.send(PACKETS_OF_A_BLOCK, 100);
    const full = ring.read();
    expect(full.lost).toBeGreaterThan(0);
    wire.send(5, 100);
    const after = ring.read();
    expect(numbersOf(after.packets, wire.near).at(-1)).toBe(4);
    expect(after.lost).toBe(full.lost);
  });

  test("is not copied when a program is started", () => {
    using namespace = NetworkNamespace.create();
    using _ring = PacketRing.open({ namespace: namespace.path });
    // VmFlags of proc(5): dc is "do not copy area on fork".
    const areas = readFileSync("/proc/self/smaps", "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
    const flags = areas
      .filter((area) => area.includes("socket:["))
      .map((area) => /^VmFlags:(.*)$/m.exec(area)?.[1] ?? "");
    expect(flags).toEqual([expect.stringContaining(" dc ")]);
  });

  test("says so when there is no such namespace, and when it is closed", () => {
    expect(() => PacketRing.open({ namespace: "/nonexistent/netns" })).toThrow("ENOENT");
    using namespace = NetworkNamespace.create();
    const ring = PacketRing.open({ namespace: namespace.path, blocks: 1 });
    ring.close();
    ring.close();
    expect(() => ring.read()).toThrow(TypeError);
  });
});
