import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { afterEach, expect, it } from "vitest";
import { getJson, postForLines, postJson } from "./http.ts";

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}

async function linesOf(url: string, signal = new AbortController().signal): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of postForLines(url, { asked: true }, { token: "t", signal })) {
    lines.push(line);
  }
  return lines;
}

it("sends JSON with the token, and gives back status and body, over a connection of its own each time", async () => {
  const ports = new Set<number | undefined>();
  const url = await serve((request, response) => {
    ports.add(request.socket.remotePort);
    request.pipe(
      response.writeHead(request.headers.authorization === "t" ? 200 : 401, {
        "x-type": request.headers["content-type"],
      }),
    );
  });
  expect(await postJson(url, { a: "ä" }, { token: "t" })).toEqual({
    status: 200,
    body: { a: "ä" },
  });
  expect(await postJson(url, [1])).toEqual({ status: 401, body: [1] });
  expect(ports.size).toBe(2);
});

it("says where nobody answers, or nothing that is JSON, or too late", async () => {
  const text = await serve((_, response) => response.end("<html>"));
  await expect(getJson(text)).rejects.toMatchObject({
    code: "store-refused",
    message: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+: .*JSON/),
  });
  const silent = await serve(() => undefined);
  await expect(getJson(silent, 20)).rejects.toMatchObject({
    code: "store-refused",
    message: expect.stringContaining("timeout"),
  });
  await expect(getJson("http://127.0.0.1:1")).rejects.toMatchObject({
    code: "store-refused",
    message: expect.stringContaining("ECONNREFUSED"),
  });
});

it("reads lines however they are cut into pieces, until the answer ends", async () => {
  const bytes = Buffer.from('{"a":"ä"}\n\n{"b":2}\n{"half');
  const url = await serve((_, response) => {
    // The next byte when this one is on its way: in one go they would come together.
    const send = (index: number): void => {
      if (index === bytes.length) {
        response.end();
      } else {
        response.write(bytes.subarray(index, index + 1), () => setImmediate(send, index + 1));
      }
    };
    send(0);
  });
  expect(await linesOf(url)).toEqual(['{"a":"ä"}', '{"b":2}']);
});

it("says that an answer was cut off, or that nobody wants it any more", async () => {
  const cut = await serve((_, response) => {
    response.write("line\n", () => response.destroy());
  });
  await expect(linesOf(cut)).rejects.toMatchObject({ code: "store-refused" });
  const stop = new AbortController();
  const endless = await serve((_, response) => {
    response.write("line\n", () => stop.abort());
  });
  await expect(linesOf(endless, stop.signal)).rejects.toMatchObject({ code: "store-refused" });
});
