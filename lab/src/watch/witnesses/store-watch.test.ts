import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import type { StoreEntry } from "../../lab.ts";
import { deadlineIn, poll, systemClock } from "../../system/clock.ts";
import type { Sighting } from "../sightings.ts";
import { StoreWatch } from "./store-watch.ts";

const servers: Server[] = [];

afterEach(() => {
  servers.splice(0).forEach((server) => {
    server.closeAllConnections();
    server.close();
  });
});

const kv = (revision: number, more: object): object => ({
  ...more,
  kv: { key: Buffer.from("/a/k").toString("base64"), mod_revision: String(revision) },
});
const answer = (revision: number, more: object = {}): object => ({
  result: { header: { revision: String(revision) }, ...more },
});

type Lines = readonly (object | string)[];

interface Member {
  readonly endpoint: string;
  readonly startedAt: readonly number[];
}

/** A member that answers each watch with the next of these streams of lines, and then no more. One, by its number, stays open. */
async function member(
  streams: readonly Lines[],
  atEnd: () => void,
  open?: number,
): Promise<Member> {
  const startedAt: number[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString("utf8");
    });
    request.on("end", () => {
      const asked = JSON.parse(body) as { create_request: { start_revision: string } };
      const lines = streams[startedAt.length];
      startedAt.push(Number(asked.create_request.start_revision));
      if (lines === undefined) {
        atEnd();
      }
      const text = (lines ?? [])
        .map((line) => (typeof line === "string" ? line : `${JSON.stringify(line)}\n`))
        .join("");
      if (startedAt.length === open) {
        response.write(text);
      } else {
        response.end(text);
      }
    });
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { endpoint: `http://127.0.0.1:${port}`, startedAt };
}

function watchOf(members: readonly Member[], seen: Sighting[]): StoreWatch {
  return new StoreWatch({
    endpoints: members.map(({ endpoint }) => endpoint),
    prefix: "/a/",
    // A clock that does not wait: the next try follows at once.
    clock: { isoTime: String, nowMs: () => 0, sleep: () => Promise.resolve() },
    now: () => 1,
    see: (sighting) => void seen.push(sighting),
  });
}

/** What is seen of a store of one member. */
async function watched(...streams: readonly Lines[]): Promise<{
  readonly seen: readonly Sighting[];
  readonly startedAt: readonly number[];
}> {
  const seen: Sighting[] = [];
  const stop = new AbortController();
  const only = await member(streams, () => {
    stop.abort();
  });
  await watchOf([only], seen).run(stop.signal);
  return { seen, startedAt: only.startedAt };
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = deadlineIn(systemClock, 5000);
  await poll(systemClock, { everyMs: 1, deadline }, () => (holds() ? true : undefined));
}

function revisions(seen: readonly Sighting[]): readonly unknown[] {
  return seen.map((one) => (one.kind === "revision" ? one.revision : one.kind));
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

  it("sees each revision once, from the member that tells it first, and none twice from one that lags", async () => {
    const stop = new AbortController();
    const seen: Sighting[] = [];
    const lagging = await member(
      [
        [answer(3, { events: [kv(2, {}), kv(3, {})] })],
        [answer(5, { events: [kv(4, {}), kv(5, {})] })],
      ],
      () => {
        stop.abort();
      },
    );
    // One that stands still with its connection open.
    const still = await member(
      [[answer(4, { events: [kv(2, {}), kv(3, {}), kv(4, {})] })]],
      () => undefined,
      1,
    );
    await watchOf([still, lagging], seen).run(stop.signal);
    expect(revisions(seen)).toEqual([2, 3, 4, 5]);
  });

  it("looks away while the store is taken back, and goes on from what is there then", async () => {
    const seen: Sighting[] = [];
    const stop = new AbortController();
    const entry = (key: string, modRevision: number): StoreEntry => ({
      key,
      value: "v",
      modRevision,
      createRevision: modRevision,
    });
    const named = (key: string, revision: number): object => ({
      kv: { key: Buffer.from(key).toString("base64"), mod_revision: String(revision) },
    });
    const only = await member(
      [
        [answer(9, { events: [named("/a/old", 3), named("/a/both", 4), named("/a/new", 9)] })],
        [answer(7, { events: [named("/a/next", 7)] })],
      ],
      () => {
        stop.abort();
      },
      1,
    );
    const watch = watchOf([only], seen);
    const running = watch.run(stop.signal);
    await until(() => revisions(seen).includes(9));
    await watch.pause();
    const changes = watch.changesTo([entry("/a/old", 2), entry("/a/both", 4)]);
    expect(changes).toMatchObject([
      { kind: "delete", key: "/a/new" },
      { kind: "put", entry: { key: "/a/old", modRevision: 2 } },
    ]);
    watch.resume(6, changes);
    await running;
    expect(revisions(seen)).toEqual([3, 4, 9, 6, 7]);
    expect(only.startedAt.slice(-2)).toEqual([7, 8]);
  });
});
