import { mkdtempSync, appendFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { systemClock } from "../../system/clock.ts";
import type { Sighting } from "../sightings.ts";
import { connectionsBegun, ConnectionWatch } from "./connection-watch.ts";
import { StoreLogWatch } from "./store-log-watch.ts";
import { parseStoreRequest } from "./store-request.ts";

/** As etcd 3.4 writes it; later ones have the same fields. */
function line(verb: string, content: string, remote: string = "172.31.1.11:38254"): string {
  return JSON.stringify({
    level: "debug",
    ts: "2026-01-02T03:04:05.678Z",
    caller: "v3rpc/interceptor.go:181",
    msg: "request stats",
    "start time": "2026-01-02T03:04:05.677Z",
    "time spent": "472.923µs",
    remote,
    "response type": `/etcdserverpb.${verb}`,
    "request count": 1,
    "request content": content,
  });
}

describe("a line of etcd's log", () => {
  it.each([
    ["no request", '{"level":"info","msg":"serving client traffic"}', undefined],
    ["half a line, with another behind it", `${line("KV/Put", "").slice(0, 90)}{}`, undefined],
    ["no JSON", "2026-01-02 03:04:05 I | embed: ready", undefined],
    [
      "a grant",
      line("Lease/LeaseGrant", "TTL:86400 "),
      { client: "172.31.1.11", verb: "LeaseGrant", writes: [] },
    ],
    [
      "a client by IPv6",
      line("KV/Range", 'key:"/a" ', "[fd00:31::b]:4711"),
      { client: "fd00:31::b", verb: "Range", writes: [] },
    ],
    [
      "a list",
      line("KV/Range", 'key:"/c/" range_end:"/c0" '),
      { client: "172.31.1.11", verb: "Range", lists: "/c/", writes: [] },
    ],
    [
      "a write",
      line("KV/Put", 'key:"/c/a" value_size:5 lease:7 '),
      { client: "172.31.1.11", verb: "Put", writes: [{ key: "/c/a", isConditional: false }] },
    ],
    [
      "a key with a quotation mark",
      line("KV/Put", 'key:"/c/\\"key:\\"x" value_size:5 '),
      {
        client: "172.31.1.11",
        verb: "Put",
        writes: [{ key: '/c/\\"key:\\"x', isConditional: false }],
      },
    ],
    [
      "a deletion",
      line("KV/DeleteRange", 'key:"/c/a" '),
      {
        client: "172.31.1.11",
        verb: "DeleteRange",
        writes: [{ key: "/c/a", isConditional: false }],
      },
    ],
    [
      "a transaction whose conditions are about one of its keys and about a prefix",
      line(
        "KV/Txn",
        'compare:<key:"/c/b" version:0  result:LESS target:MOD key:"/c/" mod_revision:50 range_end:"/c0" > success:<request_put:<key:"/c/b" value_size:1 > request_delete_range:<key:"/c/old" >> failure:<>',
      ),
      {
        client: "172.31.1.11",
        verb: "Txn",
        writes: [
          { key: "/c/b", isConditional: true },
          { key: "/c/old", isConditional: false },
        ],
      },
    ],
    [
      "a transaction without a condition, and one that writes when its condition does not hold",
      line(
        "KV/Txn",
        'compare:<target:MOD key:"/c/b" mod_revision:4 > success:<> failure:<request_put:<key:"/c/a" value_size:1 >>',
      ),
      { client: "172.31.1.11", verb: "Txn", writes: [{ key: "/c/a", isConditional: false }] },
    ],
  ] as const)("%s", (_what, text, request) => {
    expect(parseStoreRequest(text)).toEqual(request);
  });
});

describe("what is read while it is written", () => {
  const directory = mkdtempSync(join(tmpdir(), "lab-requests-"));
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  it("is told once, when its line is whole", () => {
    const log = join(directory, "log");
    const seen: Sighting[] = [];
    const see = (sighting: Sighting): void => void seen.push(sighting);
    const watch = new StoreLogWatch({ clock: systemClock, now: () => 5, logs: [log], see });
    const text = line("Lease/LeaseGrant", "TTL:7 ");
    watch.look();
    appendFileSync(log, `${text}\n${text.slice(0, 30)}`);
    watch.look();
    watch.look();
    expect(seen).toHaveLength(1);
    appendFileSync(log, `${text.slice(30)}\n`);
    watch.look();
    expect(seen).toHaveLength(2);
    expect(seen[1]).toMatchObject({ kind: "asked", at: 5, request: { verb: "LeaseGrant" } });
  });
});

describe("connections that a host begins", () => {
  const SNMP = [
    "Ip: Forwarding DefaultTTL",
    "Ip: 1 64",
    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens",
    "Tcp: 1 200 120000 -1 42 7",
    "Udp: InDatagrams",
    "Udp: 9",
  ].join("\n");

  it("are read by the name of their column", () => {
    expect(connectionsBegun(SNMP)).toBe(42);
    expect(connectionsBegun("Tcp: RtoMin\nTcp: 200\n")).toBeUndefined();
    expect(connectionsBegun("")).toBeUndefined();
  });

  it("are counted from the first look on; a host that is gone is not told of", () => {
    const seen: Sighting[] = [];
    const see = (sighting: Sighting): void => void seen.push(sighting);
    const watch = new ConnectionWatch({ clock: systemClock, now: () => 5, see });
    watch.add("n1", process.pid);
    watch.add("n2", 0x7fff_ffff);
    watch.look();
    expect(seen).toEqual([{ witness: "connection", kind: "opened", at: 5, host: "n1", opened: 0 }]);
  });
});
