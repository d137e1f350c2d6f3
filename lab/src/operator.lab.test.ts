import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ExecResult, Lab } from "./lab.ts";
import { type LaunchedLab, launchLab } from "./launch.ts";
import { labOptions } from "./options.ts";
import { defaultFlanneld } from "./own-agent.ts";
import { deadlineIn, poll, systemClock } from "./system/clock.ts";
import { labsDirectory, ownProcessId, workingDirectory } from "./system/machine.ts";
import { deployedExpressions } from "./testing/deployed.ts";
import { type Scrape, readScrape } from "./testing/exposition.ts";
import { readExpression } from "./testing/promql.ts";

const PORT = 8081;
const ASK = `fetch(process.argv[1]).then(async (answer) =>
  console.log(JSON.stringify({ status: answer.status, type: answer.headers.get("content-type"), body: await answer.text() })))`;
const ASK_SOCKET = `require("node:http").get({ socketPath: process.argv[1], path: process.argv[2] }, (answer) => answer.pipe(process.stdout))`;
const SOON = { timeoutMs: 20_000 };
/** Half a minute until the agent counts as behind, and as much again for a busy machine. */
const PATIENCE_MS = 60_000;
/** Without a user name it is not used, and must not be seen either. */
const CANARY = "canary-5f3a";
const PREFIX = "/coreos.com/network/subnets/";
/** What Prometheus adds to every series. */
const TARGET_LABELS = ["instance", "job"];

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** What an operator asks of a node, and what a probe and a scrape see. */
requires("lab", "vxlan")("a node's own account of itself", () => {
  let launched: LaunchedLab;
  let lab: Lab;

  beforeAll(async () => {
    const name = `operator-${ownProcessId()}`;
    launched = await launchLab(
      labOptions(
        { name, nodes: 2 },
        {
          flanneld: [
            "env",
            `FLANNELD_ETCD_PASSWORD=${CANARY}`,
            ...defaultFlanneld(),
            `--healthz-port=${PORT}`,
          ],
          workingDirectory: workingDirectory(),
        },
      ),
      join(labsDirectory(), name),
    );
    ({ lab } = launched);
  });
  afterAll(() => launched.down());

  async function ask(path: string): Promise<Answer> {
    const argv = [process.execPath, "-e", ASK, `http://127.0.0.1:${PORT}${path}`];
    const { exitCode, stdout, stderr } = await lab.exec({ host: "n1", argv, ...SOON });
    expect(exitCode, stderr).toBe(0);
    return JSON.parse(stdout) as Answer;
  }

  /** `flanneld WORDS` on n1. */
  function flanneld(...words: readonly string[]): Promise<ExecResult> {
    return lab.exec({ host: "n1", argv: [...defaultFlanneld(), ...words], ...SOON });
  }

  async function inHost(...argv: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await lab.exec({ host: "n1", argv, ...SOON });
    expect(exitCode, stderr).toBe(0);
    return stdout;
  }

  /** Asks until there is an answer. @throws Error when there is none in time */
  async function until<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
    const deadline = deadlineIn(systemClock, PATIENCE_MS);
    const found = await poll(systemClock, { everyMs: 100, deadline }, probe);
    if (found === undefined) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`);
    return found;
  }

  async function subnetOf(host: string): Promise<string> {
    const found = (await lab.status({})).hosts.find(({ name }) => name === host);
    return found?.subnets[0] ?? "";
  }

  /** Restarts the agent of n1, so that the next test finds it as this one did. */
  async function startAgain(): Promise<void> {
    await lab.startAgent({ host: "n1" });
    await lab.waitReady({ hosts: ["n1"], ...SOON });
  }

  it("answers probes, and a scrape that Prometheus can read", async () => {
    expect(await ask("/healthz")).toMatchObject({ status: 200, body: "flanneld is running" });
    expect(await ask("/readyz")).toMatchObject({ status: 200, body: "flanneld is ready" });
    expect((await ask("/")).status).toBe(404);
    const { status, type, body } = await ask("/metrics");
    expect([status, type]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
    const { series } = readScrape(body);
    const valueOf = (name: string): number | undefined => series.get(name)?.[0]?.value;
    expect(valueOf("flannel_ready")).toBe(1);
    expect(valueOf("flannel_peers")).toBe(1);
    expect(valueOf("flannel_reconcile_objects_wanted")).toBe(6);
    expect(valueOf("flannel_lease_seconds_left")).toBeGreaterThan(86_000);
    expect(valueOf("process_resident_memory_bytes")).toBeGreaterThan(1e7);
    // The pods have pinged each other over the device.
    expect(valueOf("flannel_backend_transmit_bytes_total")).toBeGreaterThan(0);
  });

  it("has every series that the alert rules and the dashboard ask for", async () => {
    const scrape = readScrape((await ask("/metrics")).body);
    const expressions = deployedExpressions();
    expect(expressions.length).toBeGreaterThan(20);
    expect(expressions.flatMap((text) => missingFrom(scrape, text))).toEqual([]);
  });

  it("status tells what the agent knows", async () => {
    const [own, peer] = [await subnetOf("n1"), await subnetOf("n2")];
    const { exitCode, stdout } = await flanneld("status");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^flanneld \S+: ready, running, up for /);
    expect(stdout).toContain(`lease     ${own}, public IP 172.31.1.11, runs out in 23 h 59 min`);
    expect(stdout).toContain(
      "store     http://172.31.1.2:2379, answers, peers known up to revision",
    );
    expect(stdout).toContain(`\n  ${peer} via 172.31.1.12 vxlan\n`);
    const json = await flanneld("status", "--json");
    expect(JSON.parse(json.stdout)).toMatchObject({ state: { ready: true, refusals: [] } });
    const wish = await lab.exec({
      host: "n1",
      argv: [process.execPath, "-e", ASK_SOCKET, "/run/flannel/flanneld.sock", "/wish"],
      ...SOON,
    });
    expect(JSON.parse(wish.stdout)).toMatchObject({ wish: { objects: expect.any(Array) } });
    const shown = [stdout, json.stdout, wish.stdout, (await ask("/metrics")).body];
    expect(shown.filter((text) => text.includes(CANARY))).toEqual([]);
    expect(await inHost("stat", "-c", "%a %F", "/run/flannel/flanneld.sock")).toBe("600 socket\n");
  });

  it("check names what leads packets elsewhere, and nothing once it is gone", async () => {
    const well = await flanneld("check");
    expect([well.exitCode, well.stdout]).toEqual([
      0,
      "the kernel holds what the store says; objects: 6, peers: 1\n",
    ]);
    const peer = await subnetOf("n2");
    const half = peer.replace("/24", "/25");
    await inHost("ip", "route", "add", half, "via", "172.31.1.1");
    const { exitCode, stdout } = await flanneld("check");
    expect(exitCode).toBe(1);
    expect(stdout).toBe(
      `misled: packets for ${peer.replace(".0/24", ".1")} go via 172.31.1.1 dev eth0, not via ${peer.replace("/24", "")} dev flannel.1\n` +
        "differences between kernel and store: 1\n",
    );
    await inHost("ip", "route", "delete", half);
    expect((await flanneld("check")).exitCode).toBe(0);
  });

  it("a stopped or killed agent is one line; the next one takes the socket over", async () => {
    await lab.signalAgent({ host: "n1", signal: "SIGSTOP" });
    const silent = await flanneld("status");
    expect([silent.exitCode, silent.stderr]).toEqual([
      1,
      "the agent behind /run/flannel/flanneld.sock does not answer: nothing within 5 s\n",
    ]);
    expect((await flanneld("cleanup")).stderr).toMatch(/^an agent runs here .*\n$/);
    await lab.signalAgent({ host: "n1", signal: "SIGCONT" });
    await lab.killAgent({ host: "n1", signal: "SIGKILL" });
    const dead =
      "no agent runs here: nobody listens on /run/flannel/flanneld.sock; start one, or name its -status-socket\n";
    for (const command of ["status", "check"]) {
      const { exitCode, stdout, stderr } = await flanneld(command);
      expect([exitCode, stdout, stderr]).toEqual([1, "", dead]);
    }
    await startAgain();
    expect((await flanneld("status")).exitCode).toBe(0);
  });

  it("cleanup takes away all of ours, nothing of others, and the next agent starts from there", async () => {
    const peer = await subnetOf("n2");
    await inHost("ip", "route", "add", "10.244.255.0/24", "via", "172.31.1.1");
    const refused = await flanneld("cleanup");
    expect([refused.exitCode, refused.stdout]).toEqual([1, ""]);
    await lab.killAgent({ host: "n1", signal: "SIGKILL" });
    const { exitCode, stdout } = await flanneld("cleanup");
    expect(exitCode).toBe(0);
    expect(stdout.split("\n").map((line) => line.split(" ").slice(0, 3).join(" "))).toEqual([
      `removed route ${peer}`,
      "removed link flannel.1",
      "removed traffic rules",
      "removed file /run/flannel/subnet.env",
      "removed file /var/lib/flannel/state-coreos.com-network-04985c41.json",
      "",
    ]);
    expect(await inHost("ls", "/run/flannel")).toBe("");
    expect(await inHost("ls", "/var/lib/flannel")).toBe("");
    expect(await inHost("iptables-save")).not.toContain("FLANNEL");
    expect(await inHost("ip", "-br", "link")).not.toContain("flannel");
    expect(await inHost("ip", "route")).toContain("10.244.255.0/24 via 172.31.1.1 dev eth0");
    await inHost("ip", "route", "delete", "10.244.255.0/24");
    await startAgain();
    await lab.waitReachable(SOON);
  });

  it("readiness goes back with its reason while the device is refused, and comes again", async () => {
    await inHost(..."ip link delete flannel.1".split(" "));
    const rival = "ip link add rival type vxlan id 1 dstport 8472 local 172.31.1.11 dev eth0";
    // The agent may be quicker: then its device has to go once more.
    await until("the rival device is there", async () => {
      const added = await lab.exec({ host: "n1", argv: rival.split(" "), ...SOON });
      if (added.exitCode === 0) return true;
      await lab.exec({ host: "n1", argv: "ip link delete flannel.1".split(" "), ...SOON });
      return undefined;
    });
    const refused = /EEXIST.*another vxlan device has VNI 1 .*tried again in \d+ s/;
    await until("status names what is refused", async () => {
      const { stdout } = await flanneld("status");
      return refused.test(stdout) ? true : undefined;
    });
    const waitFor = (wanted: number): Promise<Answer> =>
      until(`/readyz says ${wanted}`, async () => {
        const answer = await ask("/readyz");
        return answer.status === wanted ? answer : undefined;
      });
    expect((await waitFor(503)).body).toBe(
      "flanneld is not ready yet\n- the kernel cannot be read, or refuses the device that carries pod packets\n",
    );
    const { series } = readScrape((await ask("/metrics")).body);
    expect(series.get("flannel_ready")?.[0]?.value).toBe(0);
    expect((await flanneld("status")).exitCode).toBe(1);
    await inHost(..."ip link delete rival".split(" "));
    await waitFor(200);
    await lab.waitReachable(SOON);
  });

  it("before there is a config it says what it waits for", async () => {
    await lab.killAgent({ host: "n1", signal: "SIGTERM" });
    const [config] = (await lab.readStore({ prefix: "/coreos.com/network/config" })).entries;
    await lab.removeFromStore({ key: "/coreos.com/network/config" });
    await lab.startAgent({ host: "n1" });
    const answer = await until("status answers", async () => {
      const { exitCode, stdout } = await flanneld("status");
      return exitCode === 1 && stdout !== "" ? stdout : undefined;
    });
    expect(answer).toMatch(/^flanneld \S+: not ready, waiting for the network config, /);
    expect((await ask("/readyz")).body).toBe(
      "flanneld is not ready yet\n- kernel and subnet file do not yet hold what the store says (waiting for the network config)\n",
    );
    await lab.writeStore({ key: "/coreos.com/network/config", value: config?.value ?? "" });
    await lab.waitReady({ hosts: ["n1"], ...SOON });
    expect((await lab.readStore({ prefix: PREFIX })).entries).toHaveLength(2);
  });
});

/** What an expression asks for that no series of the scrape has. */
function missingFrom({ series }: Scrape, text: string): readonly string[] {
  const { selectors, grouping } = readExpression(text);
  const known = new Set<string>(TARGET_LABELS);
  const missing: string[] = [];
  for (const { metric, values } of selectors) {
    const found = series.get(metric) ?? [];
    if (found.length === 0) missing.push(`${metric} in ${text}`);
    for (const { labels } of found) for (const label of labels.keys()) known.add(label);
    for (const [label, wanted] of values)
      for (const value of TARGET_LABELS.includes(label) ? [] : wanted)
        if (!found.some(({ labels }) => labels.get(label) === value))
          missing.push(`${metric}{${label}="${value}"} in ${text}`);
  }
  return [
    ...missing,
    ...grouping.filter((label) => !known.has(label)).map((label) => `${label} in ${text}`),
  ];
}
