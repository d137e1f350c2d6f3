import { expect, test } from "vitest";
import { type Dump, encodeDump, readDump } from "./dump.ts";
import { CodecError, NetlinkError } from "./errors.ts";
import { MessageWriter } from "./message-writer.ts";
import { readRefusal } from "./reply.ts";
import { type RouteState, decodeRoute, isCloned, putRoute } from "./route.ts";
import { decodeWith, hexOf, toHex } from "./testing/messages.ts";

const ROUTES: Dump<RouteState> = {
  what: "routes",
  messageType: 26,
  filter: (writer) => writer.zeros(12),
  decode: decodeRoute,
};

/** Source: linux/netlink.h */
const NLM_F_MULTI = 0x02;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;

/** What the kernel sends: routes and the end, or a refusal. */
class Answer {
  readonly #writer = new MessageWriter();

  get bytes(): Uint8Array {
    return this.#writer.bytes;
  }

  route(destination: string, sequence = 5, flags = NLM_F_MULTI): this {
    this.#writer.beginMessage(24, flags, sequence);
    putRoute({ destination }).encode(this.#writer);
    this.#writer.endMessage();
    return this;
  }

  end(errno = 0, flags = NLM_F_MULTI, text?: string): this {
    this.#writer.beginMessage(NLMSG_DONE, flags, 5);
    this.#writer.u32("errno", -errno >>> 0);
    if (text !== undefined) this.#writer.textAttribute(1, text);
    this.#writer.endMessage();
    return this;
  }

  refusal(errno: number, flags: number, repeatedBytes: number, text?: string): this {
    this.#writer.beginMessage(NLMSG_ERROR, flags, 5);
    this.#writer.u32("errno", -errno >>> 0);
    this.#writer.u32("length of the request", repeatedBytes);
    this.#writer.zeros((flags & NLM_F_CAPPED) === 0 ? repeatedBytes - 4 : 12);
    if (text !== undefined) this.#writer.textAttribute(1, text);
    this.#writer.endMessage();
    return this;
  }
}

function destinations(answer: Answer): readonly string[] | undefined {
  const steps = readDump(answer.bytes, 5, ROUTES);
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value?.map(({ destination }) => destination);
}

test("a dump is asked for by its flags", () => {
  expect(toHex(encodeDump(ROUTES, 0))).toBe(
    "1c 00 00 00 1a 00 01 03 00 00 00 00 00 00 00 00\n00 00 00 00 00 00 00 00 00 00 00 00",
  );
});

test("its objects are read up to its end, those of others left out", () => {
  const answer = new Answer().route("10.1.0.0/16").route("10.9.0.0/16", 4).route("10.2.0.0/16");
  expect(destinations(answer.end())).toEqual(["10.1.0.0/16", "10.2.0.0/16"]);
  expect(destinations(new Answer().end())).toEqual([]);
});

test("one that was interrupted by a change is none", () => {
  const inTheMiddle = new Answer().route("10.1.0.0/16").route("10.2.0.0/16", 5, NLM_F_DUMP_INTR);
  expect(destinations(inTheMiddle.end())).toBeUndefined();
  expect(
    destinations(new Answer().route("10.1.0.0/16").end(0, NLM_F_MULTI | NLM_F_DUMP_INTR)),
  ).toBeUndefined();
});

test("an error at its end is thrown, with the kernel's words", () => {
  const answer = new Answer().route("10.1.0.0/16").end(22, NLM_F_ACK_TLVS, "Invalid filter");
  expect(() => destinations(answer)).toThrow("cannot dump routes: EINVAL (Invalid filter)");
  expect(() => destinations(answer)).toThrow(NetlinkError);
});

test("a refusal is thrown, whether or not it repeats the request", () => {
  const capped = new Answer().refusal(95, NLM_F_ACK_TLVS | NLM_F_CAPPED, 44, "No such thing");
  const whole = new Answer().refusal(95, NLM_F_ACK_TLVS, 44, "No such thing");
  const wordless = new Answer().refusal(95, NLM_F_CAPPED, 44);
  expect(() => destinations(capped)).toThrow("cannot dump routes: EOPNOTSUPP (No such thing)");
  expect(() => destinations(whole)).toThrow("cannot dump routes: EOPNOTSUPP (No such thing)");
  expect(() => destinations(wordless)).toThrow(/^cannot dump routes: EOPNOTSUPP$/);
});

test.each([2, 19])("errno %i: what it is filtered by is not there, so nothing is", (errno) => {
  expect(destinations(new Answer().refusal(errno, NLM_F_CAPPED, 44))).toEqual([]);
  expect(destinations(new Answer().end(errno))).toEqual([]);
});

test("an errno without a name keeps its number", () => {
  expect(new NetlinkError("do it", 524)).toMatchObject({ code: "ERRNO_524", errno: 524 });
});

test("a refusal that is cut off is refused itself", () => {
  const { bytes } = new Answer().refusal(22, NLM_F_ACK_TLVS, 44, "No such thing");
  for (let length = 16; length < 20; length += 1) {
    const cut = bytes.slice(0, length);
    cut[0] = length;
    expect(() =>
      decodeWith((message) => readRefusal(message, { describe: () => "" }), cut),
    ).toThrow(CodecError);
  }
});

test("a copy the kernel made for one destination is told from a route", () => {
  const route = new Answer().route("10.1.0.0/16").bytes;
  expect(decodeWith(isCloned, route)).toBe(false);
  route[25] = 0x02;
  expect(decodeWith(isCloned, route)).toBe(true);
  expect(hexOf(putRoute({ destination: "10.1.0.0/16" }))).not.toBe(toHex(route));
});
