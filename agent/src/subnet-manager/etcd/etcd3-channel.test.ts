import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import {
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  createServer,
} from "node:http2";
import { type Socket, createServer as createSocketServer } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Channel } from "./etcd3-channel.ts";
import { GrpcError } from "./etcd3-errors.ts";
import { MessageParts, frame } from "./etcd3-framing.ts";

/** How a member answers; the headers are not sent yet. */
type Answer = (stream: ServerHttp2Stream) => void;

const OK = { ":status": 200, "content-type": "application/grpc" };
const MESSAGE = Buffer.from("message");
const OPTIONS = { timeoutMs: 10_000 };

let server: Http2Server;
let answer: Answer;
let sessions: ServerHttp2Session[];
let sockets: Socket[];
let channel: Channel;

beforeEach(async () => {
  sessions = [];
  sockets = [];
  server = createServer().listen(0, "127.0.0.1");
  server.on("session", (session) => sessions.push(session));
  server.on("connection", (socket: Socket) => sockets.push(socket));
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    answer(stream);
  });
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const target = `127.0.0.1:${port}`;
  channel = new Channel({ url: `http://${target}`, target, secure: false });
});

afterEach(async () => {
  channel.close();
  for (const session of sessions) session.destroy();
  server.close();
  await once(server, "close");
});

/** Headers, messages in pieces of so many bytes, and a status. */
function answerWith(chunks: readonly Buffer[], status: Readonly<Record<string, string>>): Answer {
  return (stream) => {
    stream.respond(OK, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(status));
    for (const chunk of chunks) stream.write(chunk);
    stream.end();
  };
}

const call = (): Promise<Buffer> => channel.call("/a.B/C", Buffer.from("ask"), {}, OPTIONS);

test("a request carries its message, its deadline and what is said of it", async () => {
  const seen = Promise.withResolvers<object>();
  answer = (stream) => {
    stream.session?.on("error", () => undefined);
    const parts = new MessageParts();
    stream.on("data", (chunk: Buffer) => seen.resolve({ asked: parts.take(chunk).map(String) }));
    answerWith([frame(MESSAGE)], { "grpc-status": "0" })(stream);
  };
  const headers = new Promise<Readonly<Record<string, unknown>>>((resolve) => {
    server.once("stream", (_stream, received) => resolve(received));
  });
  const metadata = { token: "t" };
  const options = { timeoutMs: 1234 };
  expect(await channel.call("/a.B/C", Buffer.from("ask"), metadata, options)).toEqual(MESSAGE);
  expect(await seen.promise).toEqual({ asked: ["ask"] });
  expect(await headers).toMatchObject({
    ":method": "POST",
    ":path": "/a.B/C",
    "content-type": "application/grpc",
    "grpc-timeout": "1234m",
    te: "trailers",
    token: "t",
  });
});

test("a message in pieces is one message, wherever it is cut", async () => {
  const whole = Buffer.concat([
    frame(Buffer.from("first")),
    frame(Buffer.alloc(0)),
    frame(MESSAGE),
  ]);
  for (let size = 1; size <= whole.length; size++) {
    const parts = new MessageParts();
    const messages: string[] = [];
    for (let at = 0; at < whole.length; at += size)
      messages.push(...parts.take(whole.subarray(at, at + size)).map(String));
    expect(messages, `pieces of ${size}`).toEqual(["first", "", "message"]);
  }
});

test.each<[what: string, answer: Answer, message: string]>([
  [
    "a status at the end",
    answerWith([], { "grpc-status": "5", "grpc-message": "lease%20not found %C3%A4" }),
    "NOT_FOUND: lease not found ä",
  ],
  [
    "a status at once",
    (stream) =>
      stream.respond({ ...OK, "grpc-status": "16", "grpc-message": "100%" }, { endStream: true }),
    "UNAUTHENTICATED: 100%",
  ],
  ["a status that there is not", answerWith([], { "grpc-status": "99" }), "UNKNOWN: "],
  [
    "a web server",
    (stream) => stream.respond({ ":status": 502 }, { endStream: true }),
    "UNAVAILABLE: the answer is HTTP status 502",
  ],
  ["no message", answerWith([], { "grpc-status": "0" }), "INTERNAL: the answer has no message"],
  [
    "compression that nobody asked for",
    answerWith([Buffer.from([1, 0, 0, 0, 0])], { "grpc-status": "0" }),
    "INTERNAL: the answer is compressed",
  ],
  [
    "the end of the connection",
    (stream) => stream.session?.destroy(),
    "UNAVAILABLE: the connection was lost",
  ],
])("%s is an error that says so", async (_what, how, message) => {
  answer = how;
  const failed = await call().catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(GrpcError);
  expect((failed as Error).message).toBe(message);
});

test("an answer that does not come is given up at the deadline, and the member is told", async () => {
  const told = Promise.withResolvers<number>();
  answer = (stream) => stream.once("close", () => told.resolve(stream.rstCode));
  await expect(channel.call("/a.B/C", MESSAGE, {}, { timeoutMs: 50 })).rejects.toThrow(
    "DEADLINE_EXCEEDED: no answer within 50 ms",
  );
  // Source: RFC 9113 section 7, CANCEL.
  expect(await told.promise).toBe(8);
});

test("a signal ends a call with its reason", async () => {
  const stop = new AbortController();
  answer = () => stop.abort(new Error("enough"));
  const { signal } = stop;
  await expect(channel.call("/a.B/C", MESSAGE, {}, { ...OPTIONS, signal })).rejects.toThrow(
    "enough",
  );
  await expect(channel.call("/a.B/C", MESSAGE, {}, { ...OPTIONS, signal })).rejects.toThrow(
    "enough",
  );
});

test("one connection serves all calls, and another one after it was lost or the member says goodbye", async () => {
  answer = answerWith([frame(MESSAGE)], { "grpc-status": "0" });
  await Promise.all([call(), call()]);
  await call();
  expect(sessions).toHaveLength(1);
  sessions[0]?.destroy();
  await expect.poll(() => call().then(String, String)).toBe("message");
  expect(sessions).toHaveLength(2);
  sessions[1]?.goaway();
  await expect.poll(() => sessions.length, { interval: 10 }).toBe(2);
  await expect.poll(async () => call().then(() => sessions.length, String)).toBe(3);
  // As when a machine goes away: without a word of HTTP/2.
  for (const socket of sockets) socket.destroy();
  await expect.poll(async () => call().then(() => sessions.length, String)).toBe(4);
});

test("a stream gives messages as they come, and ends with the member's status", async () => {
  answer = (stream) => {
    stream.respond(OK, { waitForTrailers: true });
    stream.on("wantTrailers", () =>
      stream.sendTrailers({ "grpc-status": "14", "grpc-message": "gone" }),
    );
    stream.on("data", () => {
      stream.write(Buffer.concat([frame(Buffer.from("a")), frame(Buffer.from("b"))]));
      stream.end();
    });
  };
  const stream = await channel.stream("/a.B/C", {}, OPTIONS);
  const closed = new Promise<void>((resolve) => stream.onClose(resolve));
  stream.write(MESSAGE);
  const seen: string[] = [];
  const reading = (async () => {
    for await (const message of stream) seen.push(String(message));
  })();
  await expect(reading).rejects.toThrow("UNAVAILABLE: gone");
  expect(seen).toEqual(["a", "b"]);
  await closed;
});

test("a cancelled stream is an error for who reads it", async () => {
  answer = (stream) => stream.respond(OK);
  const stream = await channel.stream("/a.B/C", {}, OPTIONS);
  const reading = stream[Symbol.asyncIterator]().next();
  stream.cancel();
  await expect(reading).rejects.toThrow(/^CANCELLED: /);
});

test("close ends what is under way and refuses what comes later", async () => {
  const asked = Promise.withResolvers<void>();
  answer = () => asked.resolve();
  const waiting = call();
  await asked.promise;
  channel.close();
  await expect(waiting).rejects.toBeInstanceOf(GrpcError);
  await expect(call()).rejects.toThrow("UNAVAILABLE: the connection is closed");
});

test("a connection that is given up in the moment in which it stands is lost, and nothing else is", async () => {
  // Node tells of the connection a tick after it stands: what ends it within that tick comes first.
  const interfere = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    socket.once("connect", () => process.nextTick(() => channel.close()));
  };
  subscribe("net.client.socket", interfere);
  try {
    await expect(call()).rejects.toThrow("UNAVAILABLE: the connection was closed");
  } finally {
    unsubscribe("net.client.socket", interfere);
  }
});

test("where nobody listens, the reason is the socket's", async () => {
  const unused = createSocketServer().listen(0, "127.0.0.1");
  await once(unused, "listening");
  const address = unused.address();
  const target = `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  unused.close();
  await once(unused, "close");
  const nowhere = new Channel({ url: `http://${target}`, target, secure: false });
  await expect(nowhere.call("/a.B/C", MESSAGE, {}, OPTIONS)).rejects.toThrow(
    `UNAVAILABLE: connect ECONNREFUSED ${target}`,
  );
  nowhere.close();
});

test("a socket in the file system serves as well", async () => {
  const home = mkdtempSync(join(tmpdir(), "channel-"));
  const local = createServer().listen(join(home, "socket"));
  local.on("stream", answerWith([frame(MESSAGE)], { "grpc-status": "0" }));
  await once(local, "listening");
  const target = `unix:${join(home, "socket")}`;
  const near = new Channel({ url: target, target, secure: false });
  expect(await near.call("/a.B/C", MESSAGE, {}, OPTIONS)).toEqual(MESSAGE);
  near.close();
  local.close();
  await once(local, "close");
  rmSync(home, { recursive: true });
});
