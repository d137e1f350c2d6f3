import { connect } from "node:net";
import { expect, test } from "vitest";
import { HealthServer } from "./health-server.ts";
import type { Pages } from "./health-server.ts";

const text = (status: number, body: string): { status: number; type: string; body: string } => ({
  status,
  type: "text/plain; charset=utf-8",
  body,
});
const PAGES: Pages = new Map([["/healthz", () => text(200, "alive")]]);

/** Whole answers to raw bytes, until the server ends the connection. */
function send(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    let answered = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => (answered += chunk));
    socket.on("error", reject);
    socket.on("close", () => resolve(answered));
  });
}

test("a page is made anew for each request; anything else is 404", async () => {
  let count = 0;
  const pages: Pages = new Map([["/count", () => text(200, String(++count))]]);
  await using server = await HealthServer.open("127.0.0.1", 0, pages);
  const get = async (path: string): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    return `${response.status} ${await response.text()}`;
  };
  expect(await get("/count")).toBe("200 1");
  expect(await get("/count?again")).toBe("200 2");
  expect(await get("/")).toBe("404 404 page not found\n");
});

test("a page that fails is one 500, and the next one is answered", async () => {
  let fails = true;
  const page = (): ReturnType<typeof text> => {
    if (fails) throw new Error("no figures");
    return text(200, "figures");
  };
  await using server = await HealthServer.open("127.0.0.1", 0, new Map([["/", page]]));
  const first = await fetch(`http://127.0.0.1:${server.port}/`);
  expect(`${first.status} ${await first.text()}`).toBe("500 no figures\n");
  fails = false;
  const second = await fetch(`http://127.0.0.1:${server.port}/`);
  expect(`${second.status} ${await second.text()}`).toBe("200 figures");
});

test("what is no GET is refused and its body not waited for", async () => {
  await using server = await HealthServer.open("127.0.0.1", 0, PAGES);
  const answer = await send(
    server.port,
    "POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n",
  );
  expect(answer).toMatch(/^HTTP\/1\.1 405 /);
});

test("headers beyond the limit are refused", async () => {
  await using server = await HealthServer.open("127.0.0.1", 0, PAGES);
  const large = `GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${"x".repeat(10_000)}\r\n\r\n`;
  expect(await send(server.port, large)).toMatch(/^HTTP\/1\.1 431 /);
});

test("connections beyond the limit are closed, those within are served", async () => {
  await using server = await HealthServer.open("127.0.0.1", 0, PAGES);
  const ended = Promise.withResolvers<void>();
  const sockets = Array.from({ length: 65 }, () => {
    const socket = connect(server.port, "127.0.0.1");
    socket.on("close", () => ended.resolve());
    socket.on("error", () => undefined);
    return socket;
  });
  await ended.promise;
  expect(sockets.filter((socket) => socket.closed)).toHaveLength(1);
  for (const socket of sockets) socket.destroy();
});

test("a port in use is one clear error with the remedy", async () => {
  await using server = await HealthServer.open("127.0.0.1", 0, PAGES);
  await expect(HealthServer.open("127.0.0.1", server.port, PAGES)).rejects.toThrow(
    `cannot listen for health checks on 127.0.0.1 port ${server.port}: EADDRINUSE; choose another -healthz-ip or -healthz-port`,
  );
});
