import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requires } from "linux/testing";
import { Etcd3Store } from "./etcd3-store.ts";
import { keyValueStoreContract } from "./key-value-store.contract.ts";
import { EtcdServer, freeUrl, until } from "./etcd3-test-server.ts";

/** Whether a read gets no answer. */
async function isRefused(store: Etcd3Store, timeoutMs: number): Promise<boolean> {
  const [read] = await Promise.allSettled([store.range({ key: "/any" }, { timeoutMs })]);
  return read.status === "rejected";
}

const never = new AbortController().signal;

requires("etcd")("a real etcd", () => {
  let server: EtcdServer;

  beforeAll(async () => {
    server = await EtcdServer.open();
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  keyValueStoreContract("etcd", async () => {
    const store = new Etcd3Store({ endpoints: [server.url] });
    return {
      store,
      compact: (revision) => server.compact(revision),
      until: (condition) => until(10_000, "the store", condition),
      close: () => store.close(),
    };
  });

  test("bytes that are no text arrive as replacement characters", async () => {
    const store = new Etcd3Store({ endpoints: [server.url] });
    await server.putBytes("/bytes", Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d));
    expect((await store.range({ key: "/bytes" })).entries[0]?.value).toBe("{\ufffd\ufffd}");
    await store.close();
  });

  test("a dead endpoint before a live one costs nothing but a moment", async () => {
    const store = new Etcd3Store({ endpoints: [await freeUrl(), server.url] });
    expect((await store.range({ key: "/any" })).revision).toBeGreaterThan(0);
    const granted = await store.grantLease(60);
    await store.revokeLease(granted.leaseId);
    await store.close();
  });

  test("nothing keeps a process alive after close, whether the store answered or not", async () => {
    const program = `
      const { Etcd3Store } = await import(${JSON.stringify(import.meta.resolve("./etcd3-store.ts"))});
      const store = new Etcd3Store({ endpoints: [process.argv[1]] });
      const watch = store.watch({ key: "/any" }, 1, { signal: new AbortController().signal });
      const asked = await Promise.allSettled([
        store.range({ key: "/any" }, { timeoutMs: 500 }),
        Promise.race([watch.next(), new Promise((resolve) => setTimeout(resolve, 200))]),
      ]);
      await store.close();
      process.stdout.write(asked[0].status);
      process.closedMs = performance.now();
      process.on("exit", () => process.stdout.write(performance.now() - process.closedMs < 500 ? " at once" : " late"));
    `;
    const run = promisify(execFile);
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    const port = address === null || typeof address === "string" ? 0 : address.port;
    for (const [url, expected] of [
      [server.url, "fulfilled at once"],
      [await freeUrl(), "rejected at once"],
      [`http://127.0.0.1:${port}`, "rejected at once"],
    ] as const) {
      const argv = ["--input-type=module", "-e", program, url];
      expect((await run(process.execPath, argv, { timeout: 10_000 })).stdout).toBe(expected);
    }
    silent.close();
  });

  test("a member that stops answering is given up at the deadline, and found again", async () => {
    const store = new Etcd3Store({ endpoints: [server.url] });
    await store.range({ key: "/any" });
    server.pause(true);
    // The signal takes a moment to reach every thread.
    await until(5000, "silence", () => isRefused(store, 300));
    const started = performance.now();
    await expect(store.range({ key: "/any" }, { timeoutMs: 300 })).rejects.toMatchObject({
      code: "store-unavailable",
      retryable: true,
    });
    const tookMs = performance.now() - started;
    const watch = store.watch({ key: "/any" }, 1, { signal: never, timeoutMs: 300 });
    await expect(watch.next()).rejects.toThrow("no answer within 300 ms");
    server.pause(false);
    expect(tookMs).toBeLessThan(1000);
    expect((await store.range({ key: "/any" })).revision).toBeGreaterThan(0);
    await store.close();
  });

  test("a member that went away ends the watch, and answers within two seconds of its return", async () => {
    const store = new Etcd3Store({ endpoints: [server.url] });
    const { revision } = await store.range({ key: "/any" });
    const watch = store.watch({ key: "/any" }, revision + 1, { signal: never });
    const [ended] = await Promise.allSettled([watch.next(), server.stop()]);
    expect(ended).toMatchObject({ reason: { code: "store-unavailable", retryable: true } });
    const silentUntilMs = performance.now() + 3000;
    await until(10_000, "three seconds of refusals", async () => {
      expect(await isRefused(store, 5000)).toBe(true);
      return performance.now() > silentUntilMs;
    });
    await server.start();
    await until(2000, "an answer", async () => !(await isRefused(store, 2000)));
    await store.close();
  });
});

test("an endpoint where nobody listens is a typed error that names it", async () => {
  const url = await freeUrl();
  const store = new Etcd3Store({ endpoints: [url] });
  const asked = store.range({ key: "/any" }, { timeoutMs: 1000 });
  await expect(asked).rejects.toMatchObject({ code: "store-unavailable", retryable: true });
  await expect(store.range({ key: "/any" }, { timeoutMs: 1000 })).rejects.toThrow(
    new RegExp(`^cannot read /any: etcd at ${url}: .*ECONNREFUSED`),
  );
  await store.close();
});
