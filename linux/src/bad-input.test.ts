/** What cannot be said to the kernel is refused before it is sent, with the request's own words. */
import { expect, test } from "vitest";
import { addAddress } from "./address.ts";
import { CodecError } from "./errors.ts";
import { putFdbEntry } from "./fdb.ts";
import { addLink, changeLink, removeLink } from "./link.ts";
import { MessageWriter } from "./message-writer.ts";
import { createNamedNamespace } from "./namespaces.ts";
import { putNeighbour } from "./neighbour.ts";
import { addNexthop, removeNexthop } from "./nexthop.ts";
import { type Request, encodeRequest } from "./request.ts";
import { addRoute } from "./route.ts";
import { bytesOf } from "./testing/messages.ts";

const bridge = (name: string): Request => addLink({ name, kind: "bridge" });
const vxlan = (settings: object): Request =>
  addLink({ name: "vx", kind: "vxlan", vxlan: { id: 1, ...settings } });
const route = (settings: object): Request => addRoute({ destination: "10.0.0.0/8", ...settings });

test.each<[why: string, request: Request]>([
  ['"" is not a link name', bridge("")],
  ['"sixteen-bytes-00" is not a link name', bridge("sixteen-bytes-00")],
  ['"ééééééé0ü" is not a link name', bridge("ééééééé0ü")],
  ['"a/b" is not a link name', bridge("a/b")],
  ['"a b" is not a link name', bridge("a b")],
  ['"a\\tb" is not a link name', bridge("a\tb")],
  ['"a\\u0000b" is not a link name', bridge("a\0b")],
  ['"a:b" is not a link name', bridge("a:b")],
  ['"eth%d" is not a link name', bridge("eth%d")],
  ['".." is not a link name', bridge("..")],
  ['"" is not a link name', addLink({ name: "a", kind: "veth", peer: { name: "" } })],
  ['"a/b" is not a link name', removeLink({ name: "a/b" })],
  ["mtu -1 is not a whole number", addLink({ name: "a", kind: "bridge", mtu: -1 })],
  ["mtu 1.5 is not a whole number", addLink({ name: "a", kind: "bridge", mtu: 1.5 })],
  ["mtu NaN is not a whole number", addLink({ name: "a", kind: "bridge", mtu: Number.NaN })],
  ["mtu 4294967296 is not", addLink({ name: "a", kind: "bridge", mtu: 2 ** 32 })],
  ["is not a MAC", addLink({ name: "a", kind: "bridge", mac: "0e:00" })],
  ["link index 0 names no link", changeLink({ index: 0 }, { up: true })],
  ["link index -1 is not a whole number", removeLink({ index: -1 })],
  ["link index 2147483648 is not a whole number", removeLink({ index: 2 ** 31 })],
  ["can only be renamed by its index", changeLink({ name: "a" }, { name: "b" })],
  ["VNI 16777216 is not a whole number", vxlan({ id: 0x100_0000 })],
  ["VNI -1 is not a whole number", vxlan({ id: -1 })],
  ["vxlan port 65536 is not", vxlan({ port: 65536 })],
  ["vxlan ttl 256 is not", vxlan({ ttl: 256 })],
  ['"host" is not an IP address', vxlan({ local: "host" })],
  ["mix families", vxlan({ local: "192.0.2.1", group: "ff02::1" })],
  ["vxlan source port 65536 is not", vxlan({ sourcePorts: { first: 1, last: 65536 } })],
  ["has bits set behind its length", route({ destination: "10.0.0.1/8" })],
  ["is not a prefix", route({ destination: "10.0.0.0" })],
  ['"gateway" is not an IP address', route({ gateway: "gateway" })],
  ["for an IPv6 route", addRoute({ destination: "2001:db8::/64", gateway: "192.0.2.1" })],
  ["is of the other family", route({ preferredSource: "2001:db8::1" })],
  ["table 4294967296 is not", route({ table: 2 ** 32 })],
  ["protocol 256 is not", route({ protocol: 256 })],
  ["scope -1 is not", route({ scope: -1 })],
  ["metric -1 is not", route({ metric: -1 })],
  ["link index -1 is not", route({ linkIndex: -1 })],
  ["nexthop id 0 names no nexthop", route({ nexthopId: 0 })],
  ["weight less one 256 is not", route({ hops: [{ linkIndex: 1, weight: 257 }] })],
  ["weight less one -1 is not", route({ hops: [{ linkIndex: 1, weight: 0 }] })],
  ["prefix length 33 is not", addAddress({ linkIndex: 1, address: "192.0.2.1", prefixLength: 33 })],
  ["prefix length 129 is not", addAddress({ linkIndex: 1, address: "::1", prefixLength: 129 })],
  [
    "of the other family",
    addAddress({ linkIndex: 1, address: "192.0.2.1", prefixLength: 32, peer: "::1" }),
  ],
  [
    "of the other family",
    addAddress({ linkIndex: 1, address: "::1", prefixLength: 32, broadcast: "192.0.2.1" }),
  ],
  ['"10.0.0.0/8" is not an IP address', putNeighbour({ linkIndex: 1, address: "10.0.0.0/8" })],
  ["is not a MAC", putNeighbour({ linkIndex: 1, address: "192.0.2.1", mac: "nobody" })],
  ["is not a MAC", putFdbEntry({ linkIndex: 1, mac: "" })],
  ["link index 1.5 is not", putFdbEntry({ linkIndex: 1.5, mac: "0e:00:00:00:00:02" })],
  ["its family must be stated", addNexthop({ id: 1, linkIndex: 1 })],
  [
    "nexthop 1 is inet6 via 192.0.2.1",
    addNexthop({ id: 1, gateway: "192.0.2.1", family: "inet6" }),
  ],
  ["nexthop id 0 names no nexthop", removeNexthop({ id: 0 })],
  ["nexthop id 4294967296 is not", removeNexthop({ id: 2 ** 32 })],
])("%s", (why, request) => {
  expect(() => bytesOf(request)).toThrow(why);
  expect(() => bytesOf(request)).toThrow(CodecError);
  expect(() => bytesOf(request)).toThrow(`cannot ${request.describe()}: `);
});

test("of a request that cannot be written nothing is left to those after it", () => {
  const writer = new MessageWriter();
  const good = putNeighbour({ linkIndex: 1, address: "192.0.2.1", mac: "0e:00:00:00:00:01" });
  // Its address lies where the good one's padding is.
  const address = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff";
  const bad = putNeighbour({ linkIndex: 1, address, mac: "nonsense" });
  expect(encodeRequest(writer, bad, 0)).toBeInstanceOf(CodecError);
  expect(encodeRequest(writer, good, 0)).toBeUndefined();
  expect(writer.bytes).toEqual(bytesOf(good));
});

test("an attribute that does not fit its length field is refused", () => {
  const writer = new MessageWriter();
  expect(() => writer.bytesAttribute(1, new Uint8Array(0xffff))).toThrow(CodecError);
});

test.each(["", ".", "..", "a/b", "a\0b", "x".repeat(256)])(
  "%j is no name for a namespace",
  (name) => {
    expect(() => createNamedNamespace(name, "/nonexistent")).toThrow(CodecError);
  },
);
