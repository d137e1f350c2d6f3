/** A real etcd for one test file: members on free loopback ports, their data in directories that go with them. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemClock } from "../../system/system-clock.ts";

/** etcd is usually healthy within a second; its random election timeout and a busy machine make it longer. */
const HEALTHY_WITHIN_MS = 20_000;

/** What a member is started with beyond the usual. */
export interface EtcdServerOptions {
  readonly scheme?: "http" | "https";
  /** As on the command line, without the dashes. */
  readonly flags?: Readonly<Record<string, string>>;
}

interface Member {
  readonly name: string;
  readonly url: string;
  readonly peerUrl: string;
  /** Where health is asked and nothing else, without TLS. */
  readonly healthUrl: string;
}

export class EtcdServer implements AsyncDisposable {
  readonly url: string;
  readonly healthUrl: string;
  readonly #member: Member;
  readonly #cluster: string;
  readonly #flags: Readonly<Record<string, string>>;
  readonly #directory: string;
  readonly #endWithUs = (): void => void this.#process?.kill("SIGKILL");
  #process: ChildProcess | undefined;

  private constructor(
    member: Member,
    cluster: string,
    directory: string,
    flags: Readonly<Record<string, string>>,
  ) {
    this.url = member.url;
    this.healthUrl = member.healthUrl;
    this.#member = member;
    this.#cluster = cluster;
    this.#flags = flags;
    this.#directory = directory;
    process.on("exit", this.#endWithUs);
  }

  static async open(options: EtcdServerOptions = {}): Promise<EtcdServer> {
    const [server] = await EtcdServer.openCluster(1, options);
    if (server === undefined) throw new Error("a cluster of one has no member");
    return server;
  }

  /** Members of one cluster, all healthy. */
  static async openCluster(
    count: number,
    { scheme = "http", flags = {} }: EtcdServerOptions = {},
  ): Promise<readonly EtcdServer[]> {
    const members: Member[] = [];
    for (let index = 1; index <= count; index++) {
      const [client, peerUrl, healthUrl] = await Promise.all([freeUrl(), freeUrl(), freeUrl()]);
      members.push({
        name: `m${index}`,
        url: client.replace("http", scheme),
        peerUrl,
        healthUrl,
      });
    }
    const cluster = members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
    const servers = await Promise.all(
      members.map(
        async (member) =>
          new EtcdServer(member, cluster, await mkdtemp(join(tmpdir(), "etcd-")), flags),
      ),
    );
    await Promise.all(servers.map((server) => server.start()));
    return servers;
  }

  /** Starts the member, on the data it had, and waits until it answers. */
  async start(): Promise<void> {
    const { name, url, peerUrl, healthUrl } = this.#member;
    const flags = {
      name,
      "data-dir": this.#directory,
      "listen-client-urls": url,
      "advertise-client-urls": url,
      "listen-peer-urls": peerUrl,
      "initial-advertise-peer-urls": peerUrl,
      "initial-cluster": this.#cluster,
      "listen-metrics-urls": healthUrl,
      logger: "zap",
      "log-level": "error",
      ...this.#flags,
    };
    const argv = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const child = spawn("etcd", argv, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    this.#process = child;
    await until(HEALTHY_WITHIN_MS, "etcd to be healthy", async () => {
      if (child.exitCode !== null) throw new Error(`etcd ended: ${said}`);
      return isHealthy(healthUrl);
    });
  }

  /** Ends the member at once, as a power cut would. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  /** Stops it from answering without closing its connections, or lets it go on. */
  pause(paused: boolean): void {
    this.#process?.kill(paused ? "SIGSTOP" : "SIGCONT");
  }

  /** Equivalent to `etcdctl compaction REVISION`. */
  async compact(revision: number): Promise<void> {
    await this.post("kv/compaction", { revision });
  }

  /** Writes bytes that need not be text. */
  async putBytes(key: string, value: Uint8Array): Promise<void> {
    const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
    await this.post("kv/put", { key: base64(Buffer.from(key)), value: base64(value) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#endWithUs);
    await this.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** One request to the JSON gateway, which only an `http` member has. */
  async post(path: string, body: object): Promise<unknown> {
    const response = await fetch(`${this.url}/v3/${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`etcd ${path}: ${text}`);
    return JSON.parse(text);
  }
}

/** Waits for a condition by asking again and again, and says what it waited for when time is up. */
export async function until(
  withinMs: number,
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const clock = new SystemClock();
  const never = new AbortController().signal;
  const endMs = clock.nowMs() + withinMs;
  while (!(await condition())) {
    if (clock.nowMs() > endMs) throw new Error(`waited ${withinMs} ms for ${what}`);
    await clock.sleep(10, never);
  }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(1000) });
    return response.ok && (await response.text()).includes("true");
  } catch {
    // Nobody listens yet, or nobody answers: the caller asks again until its deadline.
    return false;
  }
}

/** The loopback address with a port that was free a moment ago. */
export async function freeUrl(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}
