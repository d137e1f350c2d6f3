import { requires } from "linux/testing";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Anchor, openAnchor } from "../hosts/anchor.ts";
import { NETWORKS } from "../network-config.ts";
import { STORE_PREFIX } from "../observe/leases.ts";
import { parseEventLog } from "../report/event-log.ts";
import type { ProbeFigures, RunEvent } from "../report/events.ts";
import { EVENT_LOG_FILE, EventLogWriter } from "../report/run-store.ts";
import { STARTED } from "../report/testing/sample-run.ts";
import { EtcdGateway } from "../store/gateway.ts";
import { type Clock, deadlineIn, poll, systemClock } from "../system/clock.ts";
import { runChecked } from "../system/processes.ts";
import { readPcapng } from "../testing/pcapng.ts";
import { isPacketFile } from "./pcapng.ts";
import { RunWatch } from "./run-watch.ts";
import type { Sighting } from "./sightings.ts";
import { ProbeTraffic } from "./witnesses/probe-traffic.ts";
import { StoreWatch } from "./witnesses/store-watch.ts";

const HOST_SCRIPT = "ip link set lo up && echo ready && exec sleep infinity";
const SOON_MS = 20_000;
const NAMES = ["n1", "n2"] as const;
/** An address of their network that neither has. */
const NOBODYS = "192.0.2.9";
const PUBLIC_IPS = ["192.0.2.1", "192.0.2.2"] as const;
/** In a probe: source and destination, behind the headers of Ethernet and IPv4. Source: RFC 768. */
const PROBE_PORTS = Buffer.from([0xa3, 0xc3, 0xa3, 0xc3]);
const UDP_AT = 14 + 20;
const KEY = `${STORE_PREFIX}/subnets/10.244.1.0-24`;

/** Two hosts joined by a link, whose "pods" are the hosts themselves, and a store: everything real but the agents. */
requires("netns", "etcd")("a watched run", () => {
  const directory = mkdtempSync(join(tmpdir(), "lab-watch-"));
  const events: RunEvent[] = [];
  const anchors: Anchor[] = [];
  let etcd: ChildProcess;
  let endpoint: string;
  let gateway: EtcdGateway;
  let watch: RunWatch;

  const expectSoon = async (what: string, holds: () => boolean): Promise<void> => {
    const deadline = deadlineIn(systemClock, SOON_MS);
    const found = await poll(systemClock, { everyMs: 20, deadline }, () => holds() || undefined);
    expect(found, `${what}: ${JSON.stringify(events.slice(-5))}`).toBe(true);
  };
  const inHost = (index: number, ...argv: readonly string[]): Promise<string> =>
    runChecked(anchors[index]?.enter(argv) ?? []);
  const violations = (id: string): readonly RunEvent[] =>
    events.filter((event) => event.type === "invariant-violated" && event.id === id);
  const leaseOf = (publicIp: string): string =>
    JSON.stringify({ PublicIP: publicIp, BackendType: "host-gw" });

  beforeAll(async () => {
    const port = await freePort();
    endpoint = `http://127.0.0.1:${port}`;
    etcd = spawn(
      "etcd",
      [
        `--data-dir=${join(directory, "etcd")}`,
        `--listen-client-urls=${endpoint}`,
        `--advertise-client-urls=${endpoint}`,
        `--listen-peer-urls=http://127.0.0.1:${await freePort()}`,
      ],
      { stdio: "ignore" },
    );
    gateway = new EtcdGateway(() => [endpoint]);
    const deadline = deadlineIn(systemClock, SOON_MS);
    await poll(systemClock, { everyMs: 50, deadline }, async () =>
      (await gateway.isHealthy()) ? true : undefined,
    );
    // Before the watch is there: it must begin with the first revision.
    await gateway.put(`${STORE_PREFIX}/config`, '{"Network":"10.244.0.0/16"}');
    await gateway.put(KEY, leaseOf(PUBLIC_IPS[0]));
    for (const name of NAMES) {
      writeFileSync(join(directory, `${name}.log`), `${name} says hello\n`);
      anchors.push(await openAnchor(HOST_SCRIPT, []));
    }
    const peer = String(anchors[1]?.pid);
    await inHost(
      0,
      "ip",
      "link",
      "add",
      "eth0",
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      peer,
    );
    for (const [index, ip] of PUBLIC_IPS.entries()) {
      await inHost(index, "ip", "address", "add", `${ip}/24`, "dev", "eth0");
      await inHost(
        index,
        "ip",
        "address",
        "add",
        `2001:db8::${index + 1}/64`,
        "dev",
        "eth0",
        "nodad",
      );
      await inHost(index, "ip", "link", "set", "eth0", "up");
    }
    const log = new EventLogWriter(directory, [(event) => void events.push(event)]);
    const startMs = systemClock.nowMs();
    log.append(STARTED);
    watch = new RunWatch({
      clock: systemClock,
      now: () => systemClock.nowMs() - startMs,
      storeEndpoints: [endpoint],
      storeLogs: [join(directory, "etcd.log")],
      facts: {
        backend: "host-gw",
        directRouting: false,
        segmentLengths: { ipv4: 24, ipv6: 64 },
        families: ["ipv4"],
        networks: { ipv4: [NETWORKS.ipv4], ipv6: [NETWORKS.ipv6] },
      },
      runDirectory: directory,
      switchNamespace: `/proc/${anchors[0]?.pid}/ns/net`,
      maxPairs: 8,
      isExpected: () => true,
      append: (event) => {
        log.append(event);
      },
    });
    watch.readStoreWith(() => gateway.range(`${STORE_PREFIX}/`));
    watch.start();
    for (const [index, name] of NAMES.entries()) {
      const pid = anchors[index]?.pid ?? 0;
      const publicIps = { ipv4: PUBLIC_IPS[index] ?? "" };
      const [subnetFile, agentLog] = [
        join(directory, `${name}.env`),
        join(directory, `${name}.log`),
      ];
      await watch.addHost({ name, publicIps, pid, subnetFile, agentLog });
      await watch.setPod({
        host: name,
        pid,
        addresses: { ...publicIps, ipv6: `2001:db8::${index + 1}` },
      });
    }
  });

  afterAll(async () => {
    await Promise.all(anchors.map((anchor) => anchor.close()));
    etcd.kill("SIGKILL");
    await once(etcd, "exit");
    rmSync(directory, { recursive: true });
  });

  it("sees the store from its first revision, and each change after", async () => {
    const puts = (): readonly RunEvent[] =>
      events.filter((event) => event.type === "lease-changed" && event.key === KEY);
    await expectSoon("the first put", () => puts().length === 1);
    await gateway.put(KEY, leaseOf(PUBLIC_IPS[1]));
    await expectSoon("A4", () => violations("A4").length === 1);
    await expectSoon("B3'", () => violations("B3'").length === 1);
    expect(violations("A4")[0]).toMatchObject({
      detail: expect.stringContaining("owner changed from 192.0.2.1 to 192.0.2.2") as string,
    });
  });

  it("freezes the evidence of that moment", () => {
    const [violation] = violations("A4");
    const files = violation?.type === "invariant-violated" ? violation.evidence : [];
    const texts = new Map(
      files.map((file) => [file.split("/").at(-1), readFileSync(join(directory, file), "utf8")]),
    );
    expect([...texts.keys()].map(String).toSorted()).toEqual([
      "last-dump.json",
      "n1.kernel.json",
      "n1.log",
      "n2.kernel.json",
      "n2.log",
      "packets.pcapng",
      "store.json",
      "violation.json",
    ]);
    expect(texts.get("n1.log")).toBe("n1 says hello\n");
    expect(texts.get("n1.kernel.json")).toContain('"192.0.2.0/24"');
    expect(texts.get("store.json")).toContain("192.0.2.2");
  });

  it("sees what a kernel does, and what it is to be blamed for", async () => {
    await inHost(0, "ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.2", "proto", "116");
    const object = "route 198.51.100.0/24 via 192.0.2.2 dev eth0 proto 116";
    await expectSoon("the route", () =>
      events.some(
        (event) =>
          event.type === "kernel-changed" && event.kind === "put" && event.object === object,
      ),
    );
    // The subnet is leased to n2 by now: a route for it is none of its agent's business.
    await inHost(1, "ip", "route", "add", "10.244.1.0/24", "via", "192.0.2.1");
    await expectSoon("D9", () => violations("D9").length === 1);
  });

  it("reads subnet.env at each change", async () => {
    writeFileSync(join(directory, "n1.env"), "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SU");
    await expectSoon("E1", () => violations("E1").length === 1);
    const text = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.9.1/24\nFLANNEL_MTU=1500\n";
    writeFileSync(join(directory, "n1.env"), `${text}FLANNEL_IPMASQ=false\n`);
    await expectSoon("E2", () => violations("E2").length === 1);
  });

  it("measures the gap of a link that was down", async () => {
    await inHost(0, "ip", "link", "set", "eth0", "down");
    // The length of the fault itself: nothing is waited for.
    await systemClock.sleep(300);
    await inHost(0, "ip", "link", "set", "eth0", "up");
    await expectSoon("D5", () => violations("D5").length > 0);
  });

  it("keeps what was on the wire when a violation was seen, once for each invariant", async () => {
    const files = (id: string): readonly string[] =>
      violations(id).flatMap((event) =>
        event.type === "invariant-violated" ? event.evidence.filter(isPacketFile) : [],
      );
    // Told when its files are written, which those after it have none of.
    await expectSoon("the file", () => files("D5").length === 1);
    const { comment, packets } = readPcapng(readFileSync(join(directory, files("D5")[0] ?? "")));
    expect(comment).toMatch(/^D5 n\d n\d → n\d ipv\d: \d+ packets lost .*: violated at 20.*Z, /);
    const probes = packets.filter(
      ({ port, bytes }) => port === "eth0" && bytes.indexOf(PROBE_PORTS) === UDP_AT,
    );
    expect(new Set(probes.map(({ inbound }) => inbound))).toEqual(new Set([true, false]));
  });

  it("sees who received a packet that was for another", async () => {
    await inHost(0, "ip", "address", "add", "192.0.2.2/32", "dev", "lo");
    await expectSoon("D6", () => violations("D6").length > 0);
    expect(violations("D6")[0]).toMatchObject({
      host: "n1",
      detail: "a packet of n1 for 192.0.2.2 came to n1",
    });
    await inHost(0, "ip", "address", "delete", "192.0.2.2/32", "dev", "lo");
  });

  it("says which revisions of the store it could not see", async () => {
    const { revision } = await gateway.range(STORE_PREFIX);
    await fetch(`${endpoint}/v3/kv/compaction`, {
      method: "POST",
      body: JSON.stringify({ revision: String(revision) }),
    });
    const seen: Sighting[] = [];
    const stop = new AbortController();
    const late = new StoreWatch({
      endpoints: [endpoint],
      prefix: `${STORE_PREFIX}/`,
      clock: systemClock,
      now: () => 7,
      see: (sighting) => void seen.push(sighting),
    });
    const running = late.run(stop.signal);
    await expectSoon("blindness and the last revision", () => seen.length >= 2);
    stop.abort();
    await running;
    expect(seen[0]).toEqual({
      witness: "store",
      kind: "blind",
      at: 7,
      why: `revisions 1 to ${revision - 1} were compacted before they were seen`,
    });
    expect(seen[1]).toMatchObject({ kind: "revision", revision });
  });

  it("ends with figures and what every check says, in a log that can be read", async () => {
    await watch.finish();
    const { events: read, torn } = parseEventLog(
      readFileSync(join(directory, EVENT_LOG_FILE), "utf8"),
      "log",
    );
    expect(torn).toBe(false);
    expect(read).toHaveLength(events.length);
    const figures = read.filter((event) => event.type === "probe-figures");
    expect(figures.map(({ from, to, family }) => `${from} ${to} ${family}`).toSorted()).toEqual([
      "n1 n2 ipv4",
      "n1 n2 ipv6",
      "n2 n1 ipv4",
      "n2 n1 ipv6",
    ]);
    for (const { sent, received, gaps } of figures) {
      expect(sent).toBeGreaterThan(0);
      expect(sent - received).toBe(gaps.reduce((sum, { lost }) => sum + lost, 0));
    }
    // A flow whose packets did not come back before the end has no gap with a length yet.
    const gaps = figures.flatMap((one) => one.gaps);
    expect(gaps.some(({ lengthMs }) => lengthMs >= 200)).toBe(true);
    const strays = figures.filter(({ misdelivered }) => misdelivered > 0);
    expect(strays.map(({ from, to, family }) => `${from} ${to} ${family}`)).toEqual(["n1 n2 ipv4"]);
    const verdicts = Object.fromEntries(
      read.flatMap((event) =>
        event.type === "invariant-checked" ? [[event.id, event.verdict]] : [],
      ),
    );
    expect(verdicts).toMatchObject({
      A1: "pass",
      A4: "fail",
      "B3'": "fail",
      D5: "fail",
      D6: "fail",
      D9: "fail",
      E1: "fail",
      E2: "fail",
    });
  });

  /** Probes from a process that the machine gives no time for a while. */
  async function figuresOfOneAway(
    awayMs: number,
    goes: (probes: ProbeTraffic) => void = () => undefined,
  ): Promise<readonly ProbeFigures[]> {
    let isAway = false;
    const clock: Clock = {
      ...systemClock,
      sleep: async (ms, signal) => {
        // The wait is a long one when packets were sent just now.
        if (!isAway || ms < 10) {
          await systemClock.sleep(ms, signal);
          return;
        }
        isAway = false;
        // Nothing is read meanwhile, and timers come before what arrived.
        for (const end = systemClock.nowMs() + awayMs; systemClock.nowMs() < end;) {
          Math.sqrt(end);
        }
      },
    };
    const seen: Sighting[] = [];
    const see = (sighting: Sighting): void => void seen.push(sighting);
    const now = (): number => systemClock.nowMs();
    const probes = new ProbeTraffic({ clock, now, see, maxPairs: 2, isExpected: () => true });
    for (const [index, host] of NAMES.entries()) {
      const pid = anchors[index]?.pid ?? 0;
      await probes.setPod({ host, pid, addresses: { ipv4: PUBLIC_IPS[index] ?? "" } });
    }
    const stop = new AbortController();
    const running = probes.run(stop.signal);
    await expectSoon("packets", () => seen.length >= 2);
    goes(probes);
    isAway = true;
    await expectSoon("packets after it", () => !isAway && seen.length >= 6);
    stop.abort();
    await running;
    return probes.finish();
  }

  it("takes nothing for lost that could arrive while its own process was away", async () => {
    for (const { sent, received, gaps } of await figuresOfOneAway(1500)) {
      expect(received).toBe(sent);
      expect(gaps).toEqual([]);
    }
  });

  it("F3: demands nothing of a time whose packets were on their way when the lab took the pod away", async () => {
    const now = (): number => systemClock.nowMs();
    const see = (): void => undefined;
    const isExpected = (): boolean => true;
    const probes = new ProbeTraffic({ clock: systemClock, now, see, maxPairs: 2, isExpected });
    const stop = new AbortController();
    const running = probes.run(stop.signal);
    const [n1 = 0, n2 = 0] = anchors.map(({ pid }) => pid);
    await probes.setPod({ host: "n1", pid: n1, addresses: { ipv4: PUBLIC_IPS[0] ?? "" } });
    for (let life = 0; life < 3; life += 1) {
      const beganAt = now();
      await probes.setPod({ host: "n2", pid: n2, addresses: { ipv4: NOBODYS } });
      await expectSoon("most of a second", () => now() - beganAt > 800);
      probes.removePod("n2");
    }
    stop.abort();
    await running;
    const [there] = probes.finish();
    expect(there).toMatchObject({ from: "n1", to: "n2", received: 0 });
    expect(there?.sent).toBeGreaterThanOrEqual(there?.floor ?? Number.POSITIVE_INFINITY);
  });

  it("F3: demands as many packets as the floor says, but while that does not count", async () => {
    for (const { sent, floor } of await figuresOfOneAway(4000)) {
      expect(sent).toBeLessThan(floor);
    }
    const excused = await figuresOfOneAway(4000, (probes) => {
      probes.countFloor(false);
    });
    expect(excused).toHaveLength(2);
    for (const { sent, floor } of excused) {
      expect(floor).toBeGreaterThan(0);
      expect(sent).toBeGreaterThanOrEqual(floor);
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
