import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import type { Sighting } from "../sightings.ts";
import { StoreWatch } from "./store-watch.ts";

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

const kv = (revision: number, more: object): object => ({
  ...more,
  kv: { key: Buffer.from("/a/k").toString("base64"), mod_revision: String(revision) },
});
const answer = (revision: number, more: object = {}): object => ({
  result: { header: { revision: String(revision) }, ...more },
});

/** A store that answers each watch with the next of these streams of lines, and then no more. */
async function watched(...streams: readonly (readonly (object | string)[])[]): Promise<{
  readonly seen: readonly Sighting[];
  readonly startedAt: readonly number[];
}> {
  const seen: Sighting[] = [];
  const startedAt: number[] = [];
  const stop = new AbortController();
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString("utf8");
    });
    request.on("end", () => {
      const asked = JSON.parse(body) as { create_request: { start_revision: string } };
      const lines = streams[startedAt.length];
      startedAt.push(Number(asked.create_request.start_revision));
      if (lines === undefined) {
        stop.abort();
      }
      response.end(
        (lines ?? [])
          .map((line) => (typeof line === "string" ? line : `${JSON.stringify(line)}\n`))
          .join(""),
      );
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const watch = new StoreWatch({
    endpoint: `http://127.0.0.1:${port}`,
    prefix: "/a/",
    // A clock that does not wait: the next try follows at once.
    clock: { isoTime: String, nowMs: () => 0, sleep: () => Promise.resolve() },
    now: () => 1,
    see: (sighting) => void seen.push(sighting),
  });
  await watch.run(stop.signal);
  return { seen, startedAt };
}

describe("the watch of the store", () => {
  it("begins with revision 1, and after a break with the first it has not seen", async () => {
    const { seen, startedAt } = await watched(
      [
        answer(3, { created: true }),
        answer(3, { events: [kv(2, {}), kv(3, {}), kv(3, { type: "DELETE" })] }),
      ],
      [answer(4, { events: [kv(4, {})] }), '{"result":{"header"'],
    );
    expect(startedAt).toEqual([1, 4, 5]);
    expect(
      seen.map(
        (one) => one.kind === "revision" && [one.revision, one.changes.map(({ kind }) => kind)],
      ),
    ).toEqual([
      [2, ["put"]],
      [3, ["put", "delete"]],
      [4, ["put"]],
    ]);
  });

  it("is blind to what was compacted, and goes on behind it", async () => {
    const { seen, startedAt } = await watched([
      answer(90, { canceled: true, compact_revision: "50" }),
    ]);
    expect(startedAt).toEqual([1, 50]);
    expect(seen).toEqual([
      {
        witness: "store",
        kind: "blind",
        at: 1,
        why: "revisions 1 to 49 were compacted before they were seen",
      },
    ]);
  });

  it("is blind when the store goes back, and reads it anew", async () => {
    const { seen, startedAt } = await watched(
      [answer(9, { events: [kv(9, {})] })],
      [answer(5, { created: true })],
      [answer(5, { events: [kv(5, {})] })],
    );
    expect(startedAt).toEqual([1, 10, 1, 6]);
    expect(seen.map((one) => (one.kind === "blind" ? one.why : one.kind))).toEqual([
      "revision",
      "the store went back from revision 9 to 5",
      "revision",
    ]);
  });

  it("is blind to an answer that is none", async () => {
    const { seen } = await watched(["no JSON\n"]);
    expect(seen).toMatchObject([{ kind: "blind" }]);
  });
});
