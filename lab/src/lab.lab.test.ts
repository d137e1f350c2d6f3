import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { outcomeOf, ROUTE_AGENT, Workplace } from "./testing/command-line.ts";
import { leftovers, lookAtMachine, type Machine, markedProcesses } from "./testing/leftovers.ts";

const IDLE_AGENT = "sh -c 'sleep 60'";
/** Has a subnet, and makes no routes. */
const NO_ROUTES = [
  "--flanneld",
  String.raw`sh -c 'i=$(hostname | tr -d n); mkdir -p /run/flannel; printf "FLANNEL_NETWORK=10.9.0.0/16\nFLANNEL_SUBNET=10.9.$i.1/24\nFLANNEL_MTU=1400\nFLANNEL_IPMASQ=false\n" > /run/flannel/subnet.env; sleep 60'`,
];
const UP = ["up", "--backend", "host-gw", "--flanneld", ROUTE_AGENT];

requires("lab")("a lab, from the command line", () => {
  let workplace: Workplace;
  let before: Machine;

  beforeEach(() => {
    workplace = new Workplace();
    before = lookAtMachine();
  });

  afterEach(async () => {
    await workplace.run("down");
    const left = await leftovers(before, workplace);
    workplace[Symbol.dispose]();
    if (left.length > 0) {
      throw new Error(`left behind: ${left.join(", ")}`);
    }
  });

  it("comes up, is listed, pings, runs commands, shows logs, and goes down without a trace", async () => {
    const up = await workplace.run(...UP, "--nodes", "3", "--json");
    expect(up).toMatchObject({ exitCode: 0, stderr: "" });
    expect(JSON.parse(up.stdout)).toMatchObject({ name: "default", ping: { pairs: 6, failed: 0 } });

    const ps = await workplace.run("ps", "--json");
    const { nodes, supervisorPid } = JSON.parse(ps.stdout) as {
      nodes: { name: string; publicIp: string; subnet: string; state: string; pid: number }[];
      supervisorPid: number;
    };
    expect(nodes).toMatchObject([
      { name: "n1", publicIp: "172.31.1.11", state: "ready", segment: 1 },
      { name: "n2", publicIp: "172.31.1.12", state: "ready", peers: { known: 2, routed: 2 } },
      { name: "n3", publicIp: "172.31.1.13", state: "ready", exit: null },
    ]);
    const pids = markedProcesses(workplace);
    expect(pids).toContain(supervisorPid);
    expect(pids).toEqual(expect.arrayContaining(nodes.map(({ pid }) => pid)));

    const ping = await workplace.run("ping", "--count", "2");
    expect(ping.stdout).toContain("6/6 pod pairs reach each other");
    expect(ping.exitCode).toBe(0);

    const inHost = await workplace.run(
      "exec",
      "n2",
      "--",
      "sh",
      "-c",
      "hostname; ip -br addr; exit 7",
    );
    expect(inHost).toMatchObject({ exitCode: 7, stderr: "" });
    expect(inHost.stdout).toMatch(/^n2\n(.*\n)*eth0@\S+ +UP +172\.31\.1\.12\/24/);
    const inPod = await workplace.run("exec", "n2", "--pod", "--", "ip", "-br", "-4", "addr");
    expect(inPod.stdout).toContain((nodes[1]?.subnet ?? "").replace(".0/24", ".2/24"));
    const many = await workplace.run("exec", "n1,n3", "hostname");
    expect(many.stdout).toBe("n1: n1\nn3: n3\n");

    const logs = await workplace.run("logs", "n1", "--tail", "1");
    expect(logs.stdout).toBe(`leased ${nodes[0]?.subnet}\n`);

    const down = await workplace.run("down", "--json");
    expect(down).toMatchObject({ exitCode: 0, stderr: "" });
    const { seconds } = JSON.parse(down.stdout) as { seconds: number };
    expect(seconds).toBeLessThan(1);
    expect(existsSync(workplace.labs)).toBe(false);
    expect(markedProcesses(workplace)).toEqual([]);
  });

  it("is one at a time under a name, and as many as there are names", async () => {
    const first = await workplace.run(...UP, "--nodes", "1");
    expect(first.exitCode).toBe(0);
    const second = await workplace.run(...UP, "--nodes", "1");
    expect(second.exitCode).toBe(1);
    expect(second.stderr).toMatch(/^lab: lab "default" is running already in .*\n$/);
    expect((await workplace.run("ps")).exitCode).toBe(0);
    const other = await workplace.run(...UP, "--nodes", "1", "--name", "other");
    expect(other.exitCode).toBe(0);
    expect((await workplace.run("down", "--name", "other", "--keep")).exitCode).toBe(0);
    expect(existsSync(join(workplace.labs, "other", "hosts", "n1", "agent.log"))).toBe(true);
    expect((await workplace.run("ps", "--name", "other")).stderr).toContain("no lab");
    expect((await workplace.run("ps")).exitCode).toBe(0);
  });

  it("has both families on two segments, with only pairs that can work expected", async () => {
    const shape = ["--nodes", "4", "--segments", "2", "--family", "dual"];
    const up = await workplace.run(...UP, ...shape, "--expect", "same-segment", "--json");
    expect(JSON.parse(up.stdout)).toMatchObject({ ping: { pairs: 8, failed: 0 } });
    const ping = await workplace.run("ping", "--json", "--family", "v6");
    const { pairs } = JSON.parse(ping.stdout) as {
      pairs: { from: string; to: string; family: string; received: number; expected: boolean }[];
    };
    expect(pairs).toHaveLength(12);
    expect(pairs.every(({ received, expected }) => (received === 1) === expected)).toBe(true);
    expect(pairs.every(({ family }) => family === "ipv6")).toBe(true);
    // The router joins the segments: underlay addresses reach each other, in both families.
    for (const address of ["172.31.2.12", "fd00:31:0:2::c"]) {
      const reach = await workplace.run("exec", "n1", "--", "ping", "-c1", "-W2", address);
      expect(reach.exitCode).toBe(0);
    }
  });

  it("loses and gains hosts", async () => {
    await workplace.run(...UP, "--nodes", "2");
    expect((await workplace.run("node", "rm", "n1")).stdout).toBe("✓ n1 removed\n");
    const lease = await workplace.run("exec", "etcd", "--", "ip", "-br", "addr");
    expect(lease.stdout).toContain("172.31.1.2/24");
    expect((await workplace.run("node", "add")).stdout).toBe("✓ n3 ready\n");
    expect((await workplace.run("node", "add", "n1")).stdout).toBe("✓ n1 ready\n");
    expect((await workplace.run("node", "add", "n1")).stderr).toBe(
      "lab: host n1 is there already\n",
    );
    const restarted = await workplace.run("node", "restart", "n2", "--signal", "KILL", "--json");
    expect(JSON.parse(restarted.stdout)).toMatchObject({ name: "n2", state: "ready" });
    const ping = await workplace.run("ping");
    expect(ping.stdout).toContain("6/6 pod pairs reach each other");
  });

  it("works in a run directory whose path no unix socket could have", async () => {
    using deep = new Workplace("a-rather-long-directory-name/".repeat(5));
    expect(deep.labs.length).toBeGreaterThan(108);
    const up = await deep.run(...UP, "--nodes", "1");
    expect(up).toMatchObject({ exitCode: 0, stderr: "" });
    expect((await deep.run("ps")).stdout).toContain("ready");
    expect((await deep.run("down")).exitCode).toBe(0);
    expect(await leftovers(before, deep)).toEqual([]);
  });

  it.each([
    [
      "an agent that ends",
      ["--flanneld", "sh -c 'echo no good >&2; exit 5'"],
      /the agent on n\d ended \(code 5\)[^]*no good/,
    ],
    [
      "an agent that does nothing",
      ["--flanneld", IDLE_AGENT, "--timeout", "1"],
      /not ready in time: n1, n2\n/,
    ],
    [
      "an agent that is not there",
      ["--flanneld", "/does/not/exist"],
      /the agent on n\d ended \(code 127\)[^]*not found/,
    ],
  ])("that does not come up says why and is gone: %s", async (_why, argv, message) => {
    const up = await workplace.run("up", "--nodes", "2", ...argv);
    expect(up.exitCode).toBe(1);
    expect(up.stderr).toMatch(message);
    expect(existsSync(workplace.labs)).toBe(false);
    expect(markedProcesses(workplace)).toEqual([]);
  });

  it("comes up with an agent that makes no routes where no pod is to reach another, and a ping says so", async () => {
    const up = await workplace.run("up", "--nodes", "2", "--expect", "none", ...NO_ROUTES);
    expect(up).toMatchObject({ exitCode: 0, stderr: "" });
    const { exitCode, stdout } = await workplace.run("ping", "--json");
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      pairs: [
        { from: "n1", to: "n2", received: 0, expected: false },
        { from: "n2", to: "n1", received: 0, expected: false },
      ],
    });
  });

  it("that does not come up stays where that is asked for", async () => {
    const up = await workplace.run("up", "--nodes", "1", "--flanneld", "false", "--keep-on-fail");
    expect(up.exitCode).toBe(1);
    expect((await workplace.run("ps")).stdout).toContain("exited (code 1)");
    expect((await workplace.run("down")).exitCode).toBe(0);
  });

  it("is taken down when its making is interrupted", async () => {
    const up = workplace.start("up", "--nodes", "2", "--flanneld", IDLE_AGENT);
    up.stdout?.on("data", (text: Buffer) => {
      if (text.includes("✓ agents")) {
        up.kill("SIGINT");
      }
    });
    const { exitCode, stderr } = await outcomeOf(up);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 130,
      stderr: "lab: interrupted: the lab is taken down\n",
    });
    expect(existsSync(workplace.labs)).toBe(false);
    expect(markedProcesses(workplace)).toEqual([]);
  });

  it("has a store that waits for no disk when it is written to", async () => {
    await workplace.run(...UP, "--nodes", "1");
    const metrics =
      "fetch('http://172.31.1.2:2379/metrics').then(async (it) => console.log(await it.text()))";
    const { stdout } = await workplace.run("exec", "etcd", "--", process.execPath, "-e", metrics);
    const count = (name: string): number =>
      Number(new RegExp(`^${name} (\\d+)$`, "m").exec(stdout)?.[1]);
    const writes = count("etcd_server_proposals_applied_total");
    expect(writes).toBeGreaterThan(2);
    // Of the two its log begins with.
    expect(count("etcd_disk_wal_fsync_duration_seconds_count")).toBe(2);
  });

  it("compiles its supervisor once, though nobody lets that end by itself", async () => {
    const compiled = join(workplace.scratch, "compiled");
    const environment = { NODE_COMPILE_CACHE: compiled };
    await outcomeOf(workplace.start(environment, ...UP, "--nodes", "1"));
    const kept = (): readonly string[] =>
      readdirSync(compiled, { recursive: true, encoding: "utf8" }).filter((name) =>
        name.endsWith(".code"),
      );
    await expect.poll(kept, { timeout: 20_000 }).toHaveLength(1);
    await workplace.run("down");
    rmSync(compiled, { recursive: true });
  });

  it("follows a log until the lab ends", async () => {
    await workplace.run(...UP, "--nodes", "1");
    const follower = workplace.start("logs", "n1", "--follow");
    const said = outcomeOf(follower);
    await workplace.run("exec", "n1", "--", "ip", "link", "set", "eth0", "down");
    await workplace.run("down", "--keep");
    const { exitCode, stdout } = await said;
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^leased 10\.244\./);
  });

  it("does not install anything where it may not, but says what would help", async () => {
    const up = workplace.start({ PATH: workplace.scratch }, "up", "--no-install");
    const { exitCode, stdout, stderr } = await outcomeOf(up);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(
      /^lab: this machine has no etcd, .*(apt-get install .*etcd-server|package manager).*\n$/,
    );
    expect(existsSync(workplace.labs)).toBe(false);
  });
});
