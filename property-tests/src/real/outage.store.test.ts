import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cidr, Ip } from "agent/core/ip.ts";
import { parseNetworkConfig } from "agent/core/network-config.ts";
import { EtcdSubnetManager } from "agent/subnet-manager/etcd/etcd-subnet-manager.ts";
import { Etcd3Store } from "agent/subnet-manager/etcd/etcd3-store.ts";
import { TestAuthority } from "agent/subnet-manager/etcd/etcd3-test-certificates.ts";
import { EtcdServer, until } from "agent/subnet-manager/etcd/etcd3-test-server.ts";
import type { KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";
import { CryptoRandom } from "agent/system/crypto-random.ts";
import { MemoryLog } from "agent/system/memory-log.ts";
import { SystemClock } from "agent/system/system-clock.ts";
import { expect, test } from "vitest";
import { requires } from "linux/testing";

const AGENT = join(import.meta.dirname, "../../../agent/src/main.ts");
const PREFIX = "/coreos.com/network";
const CONFIG = parseNetworkConfig('{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan"}}');
const NODES = 20;
const OUTAGE_MS = 6000;
/** Kernel clock ticks of /proc/PID/stat. Source: proc(5), sysconf(_SC_CLK_TCK), 100 on Linux. */
const TICK_MS = 10;

requires("netns")("an agent without its store", () => {
  test("E5: takes little time and few lines, and no secret shows", async () => {
    await using authority = await TestAuthority.open();
    const pair = await authority.sign("node");
    const directory = await mkdtemp(join(tmpdir(), "agent-"));
    const words = [
      process.execPath,
      AGENT,
      "--etcd-endpoints=https://127.0.0.1:1,https://127.0.0.1:2",
      `--etcd-keyfile=${pair.key}`,
      `--etcd-certfile=${pair.certificate}`,
      `--etcd-cafile=${authority.certificate}`,
      "--etcd-username=node",
      `--subnet-file=${join(directory, "subnet.env")}`,
      "-v=1",
    ];
    const agent = spawn(
      "unshare",
      ["-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...words],
      {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, FLANNELD_ETCD_PASSWORD: "canary-password" },
      },
    );
    try {
      let said = "";
      agent.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
      agent.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
      await until(10_000, "the first complaint", () => said.includes("trying again"));
      const before = await cpuMs(agent.pid);
      const linesBefore = said.split("\n").length;
      const sinceMs = performance.now();
      await until(15_000, "ten seconds to pass", () => performance.now() - sinceMs > 10_000);
      const share = ((await cpuMs(agent.pid)) - before) / (performance.now() - sinceMs);
      expect(share).toBeLessThan(0.05);
      expect(said.split("\n").length - linesBefore).toBeLessThanOrEqual(1);
      expect(said).not.toContain("canary");
      expect(said).not.toContain(await readFile(pair.key, "utf8"));
    } finally {
      const ended = once(agent, "exit");
      agent.kill("SIGTERM");
      await ended;
      await rm(directory, { recursive: true });
    }
  });
});

requires("etcd")("nodes whose store comes back", () => {
  test("E5, C2: all know the newest within two seconds, without a herd", async () => {
    await using server = await EtcdServer.open();
    await using operator = disposable(new Etcd3Store({ endpoints: [server.url] }));
    const stop = new AbortController();
    const nodes = await Promise.all(
      Array.from({ length: NODES }, (_, index) => openNode(server.url, index + 1, stop.signal)),
    );
    try {
      await until(5000, "everybody to know everybody", () =>
        nodes.every(({ peers }) => peers() === NODES - 1),
      );
      await server.stop();
      const downMs = performance.now();
      await until(20_000, "the outage", () => performance.now() - downMs > OUTAGE_MS);
      const requestsBefore = nodes.map(({ requests }) => requests());
      await server.start();
      const upMs = performance.now();
      const put = {
        action: "put",
        key: `${PREFIX}/subnets/10.3.99.0-24`,
        value: '{"PublicIP":"192.0.2.99","PublicIPv6":null}',
      } as const;
      await until(2000, "the operator's write", () =>
        operator.txn({ compare: [], success: [put], failure: [] }).then(
          () => true,
          () => false,
        ),
      );
      await until(5000, "everybody to know the newest", () =>
        nodes.every(({ peers }) => peers() === NODES),
      );
      expect(performance.now() - upMs).toBeLessThan(2000);
      await until(15_000, "ten seconds to pass", () => performance.now() - upMs > 10_000);
      const requests = nodes.map((node, index) => node.requests() - (requestsBefore[index] ?? 0));
      expect(Math.max(...requests)).toBeLessThanOrEqual(20);
    } finally {
      stop.abort(new Error("the test is over"));
      await Promise.all(nodes.map(({ manager }) => manager.close()));
    }
  });
});

interface RunningNode {
  readonly manager: EtcdSubnetManager;
  readonly peers: () => number;
  readonly requests: () => number;
}

/** A node that holds a lease, keeps it and follows its peers. */
async function openNode(url: string, number: number, signal: AbortSignal): Promise<RunningNode> {
  let [requests, peers] = [0, 0];
  const store = counting(new Etcd3Store({ endpoints: [url] }), () => requests++);
  const manager = new EtcdSubnetManager(store, {
    prefix: PREFIX,
    clock: new SystemClock(),
    random: new CryptoRandom(),
    log: new MemoryLog(),
  });
  const attributes = {
    publicIps: { 4: `192.0.2.${number}` as Ip },
    backendType: "vxlan",
    backendData: {},
  };
  const preferred = { 4: `10.3.${number}.0/24` as Cidr };
  const lease = await manager.acquireLease(CONFIG, attributes, preferred, signal);
  const follow = async (): Promise<void> => {
    for await (const set of manager.watchPeers(lease, signal)) peers = set.length;
  };
  // Both end with the signal, at the end of the test.
  for (const running of [follow(), manager.keepLease(lease, signal)])
    running.catch(() => undefined);
  return { manager, peers: () => peers, requests: () => requests };
}

function counting(store: KeyValueStore, count: () => void): KeyValueStore {
  const counted = <Verb extends (...words: never[]) => unknown>(verb: Verb): Verb =>
    ((...words: Parameters<Verb>) => {
      count();
      return verb(...words);
    }) as Verb;
  return {
    endpoints: store.endpoints,
    range: counted(store.range.bind(store)),
    txn: counted(store.txn.bind(store)),
    watch: counted(store.watch.bind(store)),
    grantLease: counted(store.grantLease.bind(store)),
    revokeLease: counted(store.revokeLease.bind(store)),
    timeToLive: counted(store.timeToLive.bind(store)),
    close: () => store.close(),
  };
}

function disposable(store: Etcd3Store): Etcd3Store & AsyncDisposable {
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
}

/** User and system time a process has taken. Source: proc(5), stat fields 14 and 15. */
async function cpuMs(pid: number | undefined): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
