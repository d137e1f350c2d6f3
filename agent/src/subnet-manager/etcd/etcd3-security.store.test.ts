import { AgentError } from "../../core/errors.ts";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { requires } from "linux/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Etcd3Store, type Etcd3StoreOptions } from "./etcd3-store.ts";
import { type KeyPair, TestAuthority, replacePair } from "./etcd3-test-certificates.ts";
import { EtcdServer, until } from "./etcd3-test-server.ts";

const run = promisify(execFile);

const STORE_MODULE = JSON.stringify(new URL("./etcd3-store.ts", import.meta.url).href);
/** Asks a store, with no file named, one thing. */
const ASKER = `
  const { Etcd3Store } = await import(${STORE_MODULE});
  const store = new Etcd3Store({ endpoints: [process.argv[1]] });
  const asked = store.range({ key: "/any" }, { timeoutMs: 3000 });
  process.stdout.write(await asked.then(() => "answered", String));
  await store.close();
`;

/** Another process, because Node reads the system's certificates once; its environment is what is given and no more. */
function askApart(
  endpoint: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return run(process.execPath, ["--input-type=module", "--eval", ASKER, endpoint], { env });
}

requires("etcd")("etcd behind TLS and passwords", () => {
  let authority: TestAuthority;
  let stranger: TestAuthority;

  beforeAll(async () => {
    [authority, stranger] = await Promise.all([TestAuthority.open(), TestAuthority.open()]);
  });

  afterAll(async () => {
    await Promise.all([authority[Symbol.asyncDispose](), stranger[Symbol.asyncDispose]()]);
  });

  /** Asks a store with these options one thing. */
  async function ask(options: Etcd3StoreOptions): Promise<number> {
    const store = new Etcd3Store(options);
    try {
      return (await store.range({ key: "/any" }, { timeoutMs: 3000 })).revision;
    } finally {
      await store.close();
    }
  }

  describe("TLS", () => {
    let server: EtcdServer;
    let node: KeyPair;
    let former: KeyPair;

    beforeAll(async () => {
      const [own, first, second] = await Promise.all([
        authority.sign("server"),
        authority.sign("node"),
        stranger.sign("former"),
      ]);
      [node, former] = [first, second];
      const flags = {
        "cert-file": own.certificate,
        "key-file": own.key,
        "trusted-ca-file": authority.certificate,
        "client-cert-auth": "true",
      };
      server = await EtcdServer.open({ scheme: "https", flags });
    });

    afterAll(async () => {
      await server[Symbol.asyncDispose]();
    });

    const withPair = (pair: KeyPair): Etcd3StoreOptions => ({
      endpoints: [server.url],
      keyFile: pair.key,
      certificateFile: pair.certificate,
      authoritiesFile: authority.certificate,
    });

    test("a client certificate and the authority open the store; host:port alone means TLS then", async () => {
      expect(await ask(withPair(node))).toBeGreaterThan(0);
      const bare = server.url.replace("https://", "");
      expect(await ask({ ...withPair(node), endpoints: [bare] })).toBeGreaterThan(0);
    });

    test("without the authority, or without a certificate of ours, nothing is read", async () => {
      const { authoritiesFile: _, ...unverified } = withPair(node);
      await expect(ask(unverified)).rejects.toMatchObject({ code: "store-unavailable" });
      await expect(ask(withPair(former))).rejects.toMatchObject({ code: "store-unavailable" });
    });

    test("rotated files serve the next connection, without a restart", async () => {
      const rotating = await stranger.sign("rotating");
      const store = new Etcd3Store(withPair(rotating));
      const asked = (): Promise<boolean> =>
        store.range({ key: "/any" }, { timeoutMs: 1000 }).then(
          () => true,
          () => false,
        );
      expect(await asked()).toBe(false);
      await replacePair(rotating, node);
      await until(5000, "an answer with the new certificate", asked);
      await store.close();
    });

    test("a half-written file is warned of once and the connection goes on", async () => {
      const rotating = await authority.sign("half");
      const warnings: string[] = [];
      const store = new Etcd3Store({
        ...withPair(rotating),
        onWarning: (message) => warnings.push(message),
      });
      await store.range({ key: "/any" });
      await writeFile(rotating.key, "-----BEGIN PRIVATE KEY-----\ncanary");
      await until(5000, "the warning", async () => {
        await store.range({ key: "/any" });
        return warnings.length > 0;
      });
      await store.range({ key: "/any" });
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain(`cannot use --etcd-keyfile ${rotating.key}`);
      expect(warnings[0]).not.toContain("canary");
      await store.close();
    });
  });

  test("the authority alone is honoured (E18)", async () => {
    const own = await authority.sign("alone");
    const flags = { "cert-file": own.certificate, "key-file": own.key };
    await using server = await EtcdServer.open({ scheme: "https", flags });
    const endpoints = [server.url];
    expect(await ask({ endpoints, authoritiesFile: authority.certificate })).toBeGreaterThan(0);
    await expect(ask({ endpoints, authoritiesFile: stranger.certificate })).rejects.toThrow(
      /certificate/,
    );
  });

  test("without a file the authorities of the system count", async () => {
    const own = await authority.sign("system");
    const flags = { "cert-file": own.certificate, "key-file": own.key };
    await using server = await EtcdServer.open({ scheme: "https", flags });
    const trusting = { SSL_CERT_FILE: authority.certificate };
    expect((await askApart(server.url, trusting)).stdout).toBe("answered");
    for (const env of [{}, { SSL_CERT_FILE: stranger.certificate }])
      expect((await askApart(server.url, env)).stdout).toMatch(
        /certificate; name the authority that signed it with --etcd-cafile$/,
      );
  });

  test("the authorities of the system are read for TLS only", async () => {
    const absent = authority.path("absent");
    const env = { SSL_CERT_FILE: absent, SSL_CERT_DIR: absent };
    const complaint = `Cannot open directory ${absent}`;
    expect((await askApart("https://127.0.0.1:1", env)).stderr).toContain(complaint);
    expect((await askApart("http://127.0.0.1:1", env)).stderr).toBe("");
  });

  describe("passwords", () => {
    let server: EtcdServer;

    beforeAll(async () => {
      const token = await authority.sign("token");
      const publicKey = authority.path("token.pub");
      await run("openssl", ["rsa", "-in", token.key, "-pubout", "-out", publicKey]);
      const auth = `jwt,pub-key=${publicKey},priv-key=${token.key},sign-method=RS256,ttl=1s`;
      server = await EtcdServer.open({ flags: { "auth-token": auth, "bcrypt-cost": "4" } });
      await server.post("auth/user/add", { name: "root", password: "canary" });
      await server.post("auth/role/add", { name: "root" });
      await server.post("auth/user/grant", { user: "root", role: "root" });
      await server.post("auth/user/add", { name: "weak", password: "canary" });
      // A store that knows no users yet answers all the same, as the reference takes it.
      await ask(as("root", "canary"));
      await server.post("auth/enable", {});
    });

    afterAll(async () => {
      await server[Symbol.asyncDispose]();
    });

    const as = (username: string, password: string): Etcd3StoreOptions => ({
      endpoints: [server.url],
      username,
      password,
    });

    test("a token that ran out is replaced, for requests and for watches", async () => {
      const store = new Etcd3Store(as("root", "canary"));
      const endMs = performance.now() + 3000;
      let delivered = 0;
      await until(20_000, "watches over three lives of a token", async () => {
        const { revision } = await store.range({ key: "/watched" });
        const put = { action: "put", key: "/watched", value: String(delivered) } as const;
        const watch = store.watch({ key: "/watched" }, revision + 1, {
          signal: AbortSignal.timeout(5000),
        });
        // A token may run out between the read and the watch: that watch is refused, and the next one has a new token.
        const next = watch.next().then(
          ({ value }): unknown => value,
          (error: unknown) => error,
        );
        await store.txn({ compare: [], success: [put], failure: [] });
        const seen = await next;
        await watch.return();
        if (seen instanceof AgentError && seen.retryable) return false;
        expect(seen).toMatchObject({ events: [{ type: "put" }] });
        delivered++;
        return performance.now() > endMs && delivered > 3;
      });
      await store.close();
    });

    test.each([
      ["root", "wrong-canary", "check --etcd-username and --etcd-password"],
      ["", "", "give --etcd-username and --etcd-password"],
      ["weak", "canary", "grant the etcd user of this node"],
    ])(
      "user %j with password %j is refused for good, with the remedy",
      async (user, password, remedy) => {
        const refused: unknown = await ask(as(user, password)).catch((error: unknown) => error);
        expect(refused).toMatchObject({ code: "store-unavailable", retryable: false });
        expect(String(refused)).toContain(remedy);
        expect(String(refused)).not.toContain("canary");
      },
    );
  });

  test.each([
    ["no such file", undefined, "ENOENT"],
    ["no key", "canary", "no unencrypted private key in PEM form"],
  ])("a key file with %s is one line with what, where and remedy", async (_title, text, reason) => {
    const pair = await authority.sign(`bad-${reason.length}`);
    const keyFile = text === undefined ? authority.path("absent.key") : pair.key;
    if (text !== undefined) await writeFile(keyFile, text);
    const options = {
      endpoints: ["https://127.0.0.1:1"],
      keyFile,
      certificateFile: pair.certificate,
    };
    expect(() => new Etcd3Store(options)).toThrow(`cannot use --etcd-keyfile ${keyFile}: `);
    expect(() => new Etcd3Store(options)).toThrow(reason);
    expect(() => new Etcd3Store(options)).toThrow(expect.not.stringContaining("canary"));
  });
});
