import { describe, expect, test } from "vitest";
import { RANGE, TXN, WATCH } from "./etcd3-messages.ts";
import {
  MessageType,
  ProtobufError,
  decodeMessage,
  encodeMessage,
  many,
  one,
} from "./etcd3-protobuf.ts";

const INNER = new MessageType({ a: one(1, "int64") });
const OUTER = new MessageType({
  whole: one(1, "int64"),
  id: one(2, "uint64"),
  text: one(3, "string"),
  bytes: one(4, "bytes"),
  flag: one(5, "bool"),
  color: one(6, ["Red", "Green"]),
  inner: one(7, INNER),
  list: many(8, "string"),
  far: one(64, "bytes"),
});

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

// The first three are the examples of protobuf.dev "Encoding"; the rest is worked out by its rules.
describe.each<[what: string, values: Readonly<Record<string, unknown>>, bytes: string]>([
  ["a small number", { whole: "150" }, "08 96 01"],
  ["text", { text: "testing" }, "1a 07 74 65 73 74 69 6e 67"],
  ["a message in a message", { inner: { a: "150" } }, "3a 03 08 96 01"],
  ["a negative number", { whole: "-2" }, "08 fe ff ff ff ff ff ff ff ff 01"],
  ["the largest lease id", { whole: "9223372036854775807" }, "08 ff ff ff ff ff ff ff ff 7f"],
  ["the largest cluster id", { id: "18446744073709551615" }, "10 ff ff ff ff ff ff ff ff ff 01"],
  [
    "2^49, the first that is read in two halves",
    { whole: "562949953421312" },
    "08 80 80 80 80 80 80 80 01",
  ],
  ["2^53 + 1, which no number holds", { whole: "9007199254740993" }, "08 81 80 80 80 80 80 80 10"],
  ["a flag and a name", { flag: true, color: "Green" }, "28 01 30 01"],
  ["a list", { list: ["a", "b"] }, "42 01 61 42 01 62"],
  ["a field number of two bytes", { far: Buffer.of(7) }, "82 04 01 07"],
])("%s", (_what, values, bytes) => {
  test("is written", () =>
    expect(encodeMessage(OUTER, values).toString("hex")).toBe(hex(bytes).toString("hex")));
  test("is read", () => expect(decodeMessage(OUTER, hex(bytes))).toMatchObject(values));
  test("is refused when it ends in the middle", () =>
    expect(() => decodeMessage(OUTER, hex(bytes).subarray(0, -1))).toThrow(ProtobufError));
});

test("what is not there has its default, a message none", () => {
  expect(decodeMessage(OUTER, Buffer.alloc(0))).toEqual({
    whole: "0",
    id: "0",
    text: "",
    bytes: Buffer.alloc(0),
    flag: false,
    color: "Red",
    list: [],
    far: Buffer.alloc(0),
  });
});

test("fields of a newer protocol are passed over, whatever their kind", () => {
  const unknown = "78 01 79 0102030405060708 7a 02 6161 7d 01020304";
  expect(decodeMessage(OUTER, hex(`${unknown} 08 05 ${unknown}`))).toMatchObject({ whole: "5" });
  // Text where a number is expected.
  expect(decodeMessage(OUTER, hex("0a 01 61 28 01"))).toMatchObject({ whole: "0", flag: true });
});

test.each([
  ["a number without an end", "08 ff ff ff ff ff ff ff ff ff ff 01"],
  ["a length beyond the end", "1a 7f 61"],
  ["a kind that there is not", "7f"],
])("%s is refused", (_what, bytes) => {
  expect(() => decodeMessage(OUTER, hex(bytes))).toThrow(ProtobufError);
});

test("a member that the type does not have, or a name that the enumeration has not, is a mistake of ours", () => {
  expect(() => encodeMessage(OUTER, { hole: 1 })).toThrow("there is no field hole");
  expect(() => encodeMessage(OUTER, { color: "Blue" })).toThrow("Blue is none of Red, Green");
});

test("undefined is left out", () => {
  expect(encodeMessage(OUTER, { text: undefined, flag: true })).toEqual(hex("28 01"));
});

test.each([
  [RANGE, "/etcdserverpb.KV/Range"],
  [TXN, "/etcdserverpb.KV/Txn"],
  [WATCH, "/etcdserverpb.Watch/Watch"],
])("a method is named as etcd's services are", (method, path) => {
  expect(method.path).toBe(path);
});
