/** What was encoded is read back; nothing that is cut off or changed is read past its end. */
import { describe, expect, test } from "vitest";
import { type Address, addAddress, decodeAddress } from "./address.ts";
import { CodecError } from "./errors.ts";
import { type FdbEntry, decodeFdbEntry, putFdbEntry } from "./fdb.ts";
import { type NewLink, addLink, decodeLink } from "./link.ts";
import type { MessageReader } from "./message-reader.ts";
import { MessageReader as Reader } from "./message-reader.ts";
import { LITTLE_ENDIAN, MessageWriter } from "./message-writer.ts";
import { type Neighbour, decodeNeighbour, putNeighbour } from "./neighbour.ts";
import { type Nexthop, decodeNexthop, putNexthop } from "./nexthop.ts";
import { encodeRequest } from "./request.ts";
import { decodeRouteLookup } from "./route-lookup.ts";
import { type Route, decodeRoute, putRoute } from "./route.ts";
import { bytesOf, decodeWith, fromHex } from "./testing/messages.ts";
import type { Vxlan } from "./vxlan.ts";

const ROUTES: readonly Route[] = [
  { destination: "10.42.2.0/24", gateway: "10.42.2.0", linkIndex: 4, onlink: true, scope: 0 },
  { destination: "0.0.0.0/0", gateway: "192.0.2.1", linkIndex: 2, table: 254, protocol: 4 },
  { destination: "::/0", gateway: "fe80::1", linkIndex: 2, metric: 1024, mtu: 1400 },
  { destination: "2001:db8::1/128", linkIndex: 1, type: "local", table: 255, scope: 254 },
  { destination: "10.0.0.0/8", type: "blackhole", table: 0xffff_ffff, metric: 0xffff_ffff },
  { destination: "192.0.2.0/24", gateway: "2001:db8::1", linkIndex: 3 },
  { destination: "192.0.2.0/24", linkIndex: 3, preferredSource: "192.0.2.7", protocol: 250 },
  { destination: "10.42.3.0/24", nexthopId: 0xffff_ffff },
  {
    destination: "10.9.0.0/16",
    hops: [
      { gateway: "192.0.2.2", linkIndex: 3, weight: 256, onlink: true },
      { gateway: "2001:db8::2", linkIndex: 4, weight: 1, onlink: false },
      { linkIndex: 5, weight: 7, onlink: false },
    ],
  },
];

const ADDRESSES: readonly Address[] = [
  { linkIndex: 4, address: "10.42.1.0", prefixLength: 32, scope: 0, noDad: false },
  { linkIndex: 3, address: "2001:db8::1", prefixLength: 64, noDad: true, noPrefixRoute: true },
  {
    linkIndex: 3,
    address: "192.0.2.1",
    prefixLength: 24,
    peer: "192.0.2.2",
    broadcast: "192.0.2.255",
    scope: 253,
  },
];

const NEIGHBOURS: readonly Neighbour[] = [
  { linkIndex: 4, address: "10.42.2.0", mac: "0e:00:00:00:00:02", state: "permanent" },
  { linkIndex: 4, address: "2001:db8::2", mac: "0e:00:00:00:00:02", state: "noarp", router: true },
  { linkIndex: 1, address: "192.0.2.9", proxy: true, state: "none", externallyLearned: true },
];

const FDB_ENTRIES: readonly FdbEntry[] = [
  { linkIndex: 4, mac: "0e:00:00:00:00:02", destination: "192.0.2.2", state: "permanent" },
  { linkIndex: 4, mac: "0e:00:00:00:00:02", destination: "2001:db8::2", state: "reachable" },
  { linkIndex: 4, mac: "00:00:00:00:00:00", state: "noarp" },
];

const NEXTHOPS: readonly Nexthop[] = [
  { id: 7, gateway: "10.42.2.0", linkIndex: 4, onlink: true, protocol: 250, family: "inet" },
  { id: 8, gateway: "2001:db8::2", linkIndex: 4, family: "inet6" },
  { id: 9, blackhole: true, family: "inet" },
  {
    id: 10,
    group: [
      { id: 7, weight: 1 },
      { id: 8, weight: 256 },
    ],
  },
];

const VXLANS: readonly Vxlan[] = [
  { id: 1, lowerIndex: 3, local: "192.0.2.1", port: 8472, learning: false, gbp: true },
  {
    id: 0xff_ffff,
    local: "2001:db8::1",
    group: "ff02::1",
    port: 0,
    ttl: 255,
    tos: 1,
    learning: true,
    proxy: true,
    routeShortCircuit: true,
    l2miss: true,
    l3miss: true,
    udpChecksum: false,
    zeroChecksumTransmit: true,
    zeroChecksumReceive: true,
    gbp: false,
    ageingSeconds: 300,
    limit: 1000,
    sourcePorts: { first: 1024, last: 65535 },
  },
];

const LINKS: readonly NewLink[] = [
  { name: "br0", kind: "bridge", mtu: 1400, up: true, mac: "0e:00:00:00:00:01", masterIndex: 9 },
  { name: "fifteen-bytes-0", kind: "dummy", transmitQueueLength: 0, mtu: 0, up: false },
  ...VXLANS.map((vxlan): NewLink => ({ name: "flannel.1", kind: "vxlan", mtu: 1450, vxlan })),
];

describe("what was encoded is read back", () => {
  test.each(ROUTES)("as a route %j", (route) => {
    expect(decodeWith(decodeRoute, bytesOf(putRoute(route)))).toMatchObject(route);
  });

  test("as a route, with what was not said filled in", () => {
    const route: Route = { destination: "192.0.2.0/24", linkIndex: 3 };
    expect(decodeWith(decodeRoute, bytesOf(putRoute(route)))).toEqual({
      ...route,
      table: 254,
      protocol: 3,
      scope: 253,
      type: "unicast",
      onlink: false,
    });
  });

  test.each(ADDRESSES)("as an address %j", (address) => {
    expect(decodeWith(decodeAddress, bytesOf(addAddress(address)))).toMatchObject(address);
  });

  test.each(NEIGHBOURS)("as a neighbour %j", (neighbour) => {
    expect(decodeWith(decodeNeighbour, bytesOf(putNeighbour(neighbour)))).toMatchObject(neighbour);
  });

  test.each(FDB_ENTRIES)("as an FDB entry %j", (entry) => {
    const read = decodeWith(decodeFdbEntry, bytesOf(putFdbEntry(entry)));
    expect(read).toEqual({ ...entry, self: true });
  });

  test.each(NEXTHOPS)("as a nexthop %j", (nexthop) => {
    expect(decodeWith(decodeNexthop, bytesOf(putNexthop(nexthop)))).toMatchObject(nexthop);
  });

  test.each(LINKS)("as a link %j", (link) => {
    expect(decodeWith(decodeLink, bytesOf(addLink(link)))).toMatchObject(link);
  });
});

describe("messages about something else are no objects", () => {
  const bridgePort = fromHex(
    "20 00 00 00 10 00 00 00 00 00 00 00 00 00 00 00 07 00 00 00 03 00 00 00 00 00 00 00 00 00 00 00",
  );

  test("a bridge port is no link", () => {
    expect(decodeWith(decodeLink, bridgePort)).toBeUndefined();
  });

  test("an FDB entry is no neighbour, and a neighbour no FDB entry", () => {
    const entry = bytesOf(putFdbEntry({ linkIndex: 1, mac: "0e:00:00:00:00:02" }));
    const neighbour = bytesOf(putNeighbour({ linkIndex: 1, address: "192.0.2.1" }));
    expect(decodeWith(decodeNeighbour, entry)).toBeUndefined();
    expect(decodeWith(decodeFdbEntry, neighbour)).toBeUndefined();
  });

  test("a multicast route is no route", () => {
    const route = bytesOf(putRoute({ destination: "192.0.2.0/24" }));
    route[16] = 128;
    expect(decodeWith(decodeRoute, route)).toBeUndefined();
  });
});

test("attributes that nobody knows are ignored", () => {
  const writer = new MessageWriter();
  encodeRequest(
    writer,
    {
      messageType: 24,
      flags: 0,
      describe: () => "",
      encode(body) {
        putRoute({ destination: "192.0.2.0/24", linkIndex: 3 }).encode(body);
        body.u32Attribute(0x3ffe, "unknown", 7);
      },
    },
    0,
  );
  expect(decodeWith(decodeRoute, writer.bytes)).toMatchObject({ destination: "192.0.2.0/24" });
});

type Sample = readonly [name: string, decode: (message: MessageReader) => unknown, Uint8Array];

const SAMPLES: readonly Sample[] = [
  ...ROUTES.map((value): Sample => ["route", decodeRoute, bytesOf(putRoute(value))]),
  ...ROUTES.map((value): Sample => [
    "route lookup",
    (message) => decodeRouteLookup("192.0.2.1", message),
    bytesOf(putRoute(value)),
  ]),
  ...ADDRESSES.map((value): Sample => ["address", decodeAddress, bytesOf(addAddress(value))]),
  ...NEIGHBOURS.map((value): Sample => [
    "neighbour",
    decodeNeighbour,
    bytesOf(putNeighbour(value)),
  ]),
  ...FDB_ENTRIES.map((value): Sample => ["FDB entry", decodeFdbEntry, bytesOf(putFdbEntry(value))]),
  ...NEXTHOPS.map((value): Sample => ["nexthop", decodeNexthop, bytesOf(putNexthop(value))]),
  ...LINKS.map((value): Sample => ["link", decodeLink, bytesOf(addLink(value))]),
];

/** The value, or the CodecError's message; any other error is the test's. */
function valueOrRefusal(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    if (error instanceof CodecError) return error.message;
    throw error;
  }
}

/** The first `length` bytes as a message that says it ends there, in front of bytes that are not its own. */
function shortened(bytes: Uint8Array, length: number, behind: number): Uint8Array {
  const whole = new Uint8Array(bytes.length + 64).fill(behind);
  whole.set(bytes.subarray(0, length));
  new DataView(whole.buffer).setUint32(0, length, LITTLE_ENDIAN);
  return whole;
}

describe("a message cut off at any byte", () => {
  test.each(SAMPLES)("is refused: %s %#", (_, decode, bytes) => {
    for (let length = 1; length < bytes.length; length += 1) {
      expect(() => decodeWith(decode, bytes.subarray(0, length))).toThrow(CodecError);
    }
  });

  test.each(SAMPLES)("is not read past its end: %s %#", (_, decode, bytes) => {
    for (let length = 16; length < bytes.length; length += 1) {
      const [zeros, ones] = [0x00, 0xff].map((behind) =>
        valueOrRefusal(() => decodeWith(decode, shortened(bytes, length, behind))),
      );
      expect(ones).toEqual(zeros);
    }
  });

  test.each(SAMPLES)(
    "or changed at any byte is read or refused, never worse: %s %#",
    (_, decode, bytes) => {
      for (let at = 0; at < bytes.length; at += 1) {
        for (const byte of [0x00, 0x01, 0x03, 0x7f, 0xff]) {
          const changed = Uint8Array.from(bytes);
          changed[at] = byte;
          valueOrRefusal(() => decodeWith(decode, changed));
        }
      }
      expect(decode).toBeTypeOf("function");
    },
  );
});

test("messages are read one after the other, padding between them", () => {
  const writer = new MessageWriter();
  encodeRequest(writer, addLink({ name: "a", kind: "bridge" }), 7);
  encodeRequest(writer, putRoute({ destination: "192.0.2.0/24" }), 8);
  const message = new Reader(writer.bytes);
  const seen: [number, number][] = [];
  while (message.next()) seen.push([message.type, message.sequence]);
  expect(seen).toEqual([
    [16, 7],
    [24, 8],
  ]);
});
