import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { NetworkNamespace } from "./namespaces.ts";
import { NetlinkError } from "./errors.ts";
import { type NftablesEvent, NftablesEvents } from "./nftables-events.ts";
import { NftablesGeneration } from "./nftables-generation.ts";
import { requires } from "./testing/requires.ts";

function nft(namespace: NetworkNamespace, ...lines: readonly string[]): void {
  execFileSync("nsenter", [`--net=${namespace.path}`, "nft", "-f", "-"], {
    input: `${lines.join("\n")}\n`,
  });
}

/** All events up to the one about a table named `last`; the test's time limit is the deadline. */
async function untilLast(events: NftablesEvents): Promise<readonly NftablesEvent[]> {
  const seen: NftablesEvent[] = [];
  for await (const batch of events)
    for (const event of batch) {
      if (event.kind === "overrun") throw new Error("events were lost");
      if (event.table === "last") return seen;
      seen.push(event);
    }
  throw new Error("the events ended");
}

requires("netns", "nft")("changes of nftables", () => {
  test("tables, chains and rules that come and go are told with their names", async () => {
    using namespace = NetworkNamespace.create();
    using events = NftablesEvents.open({ namespace: namespace.path });
    const chain = "ip6 mine forward";
    nft(
      namespace,
      "add table ip6 mine",
      `add chain ${chain} { type filter hook forward priority 0 ; }`,
    );
    nft(namespace, `add rule ${chain} ip6 saddr 2001:db8::/32 accept`);
    nft(namespace, `flush chain ${chain}`);
    nft(namespace, `delete chain ${chain}`);
    nft(namespace, "delete table ip6 mine");
    nft(namespace, "add table ip last");
    const at = { family: "ip6", table: "mine" };
    expect(await untilLast(events)).toEqual([
      { kind: "put", object: "table", ...at },
      { kind: "put", object: "chain", ...at, chain: "forward" },
      { kind: "put", object: "rule", ...at, chain: "forward" },
      { kind: "remove", object: "rule", ...at, chain: "forward" },
      { kind: "remove", object: "chain", ...at, chain: "forward" },
      { kind: "remove", object: "table", ...at },
    ]);
  });

  test("other objects of nftables are passed over", async () => {
    using namespace = NetworkNamespace.create();
    nft(namespace, "add table inet mine");
    using events = NftablesEvents.open({ namespace: namespace.path });
    nft(
      namespace,
      "add set inet mine ports { type inet_service; }",
      "add element inet mine ports { 80 }",
    );
    nft(namespace, "add table inet last");
    expect(await untilLast(events)).toEqual([]);
  });

  test("the iteration ends with its signal", async () => {
    using namespace = NetworkNamespace.create();
    const stop = new AbortController();
    const events = NftablesEvents.open({ namespace: namespace.path, signal: stop.signal });
    const ended = events[Symbol.asyncIterator]().next();
    stop.abort();
    expect(await ended).toEqual({ value: undefined, done: true });
  });

  test("the generation is another one after each transaction, and only then", () => {
    using namespace = NetworkNamespace.create();
    using generation = NftablesGeneration.open(namespace.path);
    const before = generation.read();
    expect(generation.read()).toBe(before);
    nft(namespace, "add table ip mine");
    const after = generation.read();
    expect(after).not.toBe(before);
    expect(generation.read()).toBe(after);
  });

  test("a namespace that is not there is an error", () => {
    expect(() => NftablesEvents.open({ namespace: "/run/netns/none" })).toThrow(
      new NetlinkError("watch changes of nftables in /run/netns/none", 2),
    );
  });
});
