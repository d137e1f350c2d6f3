/** A real etcd for one test file: one member on free loopback ports, its data in a directory that goes with it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemClock } from "../../system/system-clock.ts";

/** etcd is usually healthy within a second; its random election timeout and a busy machine make it longer. */
const HEALTHY_WITHIN_MS = 20_000;

export class EtcdServer implements AsyncDisposable {
  readonly url: string;
  readonly #peerUrl: string;
  readonly #directory: string;
  readonly #endWithUs = (): void => void this.#process?.kill("SIGKILL");
  #process: ChildProcess | undefined;

  private constructor(url: string, peerUrl: string, directory: string) {
    this.url = url;
    this.#peerUrl = peerUrl;
    this.#directory = directory;
    process.on("exit", this.#endWithUs);
  }

  static async open(): Promise<EtcdServer> {
    const [client, peer] = await Promise.all([freeUrl(), freeUrl()]);
    const server = new EtcdServer(client, peer, await mkdtemp(join(tmpdir(), "etcd-")));
    await server.start();
    return server;
  }

  /** Starts the member, on the data it had, and waits until it answers. */
  async start(): Promise<void> {
    const flags = {
      name: "one",
      "data-dir": this.#directory,
      "listen-client-urls": this.url,
      "advertise-client-urls": this.url,
      "listen-peer-urls": this.#peerUrl,
      "initial-advertise-peer-urls": this.#peerUrl,
      "initial-cluster": `one=${this.#peerUrl}`,
      logger: "zap",
      "log-level": "error",
    };
    const argv = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const child = spawn("etcd", argv, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    this.#process = child;
    await until(HEALTHY_WITHIN_MS, "etcd to be healthy", async () => {
      if (child.exitCode !== null) throw new Error(`etcd ended: ${said}`);
      return isHealthy(this.url);
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
    await this.#post("kv/compaction", { revision });
  }

  /** Writes bytes that need not be text. */
  async putBytes(key: string, value: Uint8Array): Promise<void> {
    const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
    await this.#post("kv/put", { key: base64(Buffer.from(key)), value: base64(value) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#endWithUs);
    await this.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #post(path: string, body: object): Promise<void> {
    const response = await fetch(`${this.url}/v3/${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5000),
    });
    if (!response.ok) throw new Error(`etcd ${path}: ${await response.text()}`);
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
