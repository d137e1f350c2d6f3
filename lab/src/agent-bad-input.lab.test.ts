import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { POD_BRIDGE } from "./hosts/link-scripts.ts";
import type { ExecResult, Lab } from "./lab.ts";
import { type LaunchedLab, launchLab } from "./launch.ts";
import { labOptions } from "./options.ts";
import { readHostKernel } from "./observe/kernel-state.ts";
import { defaultFlanneld } from "./own-agent.ts";
import { labsDirectory, ownProcessId, workingDirectory } from "./system/machine.ts";

const PREFIX = "/coreos.com/network";
const ETCD = "--etcd-endpoints=http://172.31.1.2:2379";
const GOOD = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}';
/** Where an agent that waits writes its log, for the test to read meanwhile; in the host's own /run. */
const LOG = "/run/agent-test.log";
const SAYS = 'until grep -qs -- "$1" "$0"; do sleep 0.05; done';
/** Runs an agent until it says something, and a second longer to see whether it says more; then interrupts it. */
const RUN_UNTIL_IT_SAYS = `"$@" 2>"$LOG" & pid=$!
until grep -qs -- "$WORDS" "$LOG" || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
sleep 1; kill -INT $pid; wait $pid; code=$?; cat "$LOG" >&2; rm "$LOG"; exit $code`;

/** What an operator gets wrong, and what the agent answers; each on a host where no agent runs. */
requires("lab", "vxlan")("bad input to the agent", () => {
  let launched: LaunchedLab;
  let lab: Lab;

  beforeAll(async () => {
    const name = `bad-${ownProcessId()}`;
    launched = await launchLab(
      labOptions(
        { name, nodes: 2 },
        { flanneld: defaultFlanneld(), workingDirectory: workingDirectory() },
      ),
      join(labsDirectory(), name),
    );
    ({ lab } = launched);
    await lab.killAgent({ host: "n1", signal: "SIGTERM" });
  });
  afterAll(() => launched.down());

  beforeEach(async () => {
    await lab.exec({ host: "n1", argv: ["ip", "link", "delete", "flannel.1"] });
    await lab.exec({ host: "n1", argv: ["sh", "-c", "rm -f /var/lib/flannel/*"] });
    for (const { key, value } of (await lab.readStore({ prefix: `${PREFIX}/subnets/` })).entries) {
      if (value.includes("172.31.1.11")) {
        await lab.removeFromStore({ key });
      }
    }
    await lab.writeStore({ key: `${PREFIX}/config`, value: GOOD });
  });

  /** Runs an agent on n1 until it ends. */
  function agent(flags: readonly string[], before: readonly string[] = []): Promise<ExecResult> {
    return lab.exec({
      host: "n1",
      argv: [...before, ...defaultFlanneld(), ...flags],
      timeoutMs: 20_000,
    });
  }

  function agentUntil(words: string, flags: readonly string[]): Promise<ExecResult> {
    return agent(flags, [
      "env",
      `LOG=${LOG}`,
      `WORDS=${words}`,
      "sh",
      "-c",
      RUN_UNTIL_IT_SAYS,
      "sh",
    ]);
  }

  async function saidMeanwhile(words: string): Promise<void> {
    const { exitCode } = await lab.exec({
      host: "n1",
      argv: ["sh", "-c", SAYS, LOG, words],
      timeoutMs: 15_000,
    });
    expect(exitCode).toBe(0);
  }

  /** Words of the log lines of a level. */
  function messages({ stderr }: ExecResult, ...levels: readonly string[]): string[] {
    return stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { level: string; msg: string })
      .filter(({ level }) => levels.includes(level))
      .map(({ msg }) => msg);
  }

  async function expectNothingMade(): Promise<void> {
    const { entries } = await lab.readStore({ prefix: `${PREFIX}/subnets/` });
    expect(entries.filter(({ value }) => value.includes("172.31.1.11"))).toEqual([]);
    const { routes, neighbours, fdb } = await readHostKernel(lab, "n1");
    const links = await lab.exec({
      host: "n1",
      argv: ["ip", "-br", "link", "show", "type", "vxlan"],
    });
    expect([
      links.stdout,
      // Those of the pods are the lab's.
      neighbours.filter(({ device }) => device !== POD_BRIDGE),
      fdb,
      routes.filter(({ protocol }) => protocol !== "kernel"),
    ]).toEqual(["", [], [], [expect.objectContaining({ destination: "default" })]]);
  }

  test.each([
    ["an unknown flag", ["--nope"], "flag provided but not defined: -nope"],
    [
      "a bad value",
      ["--healthz-port=high"],
      'invalid value "high" for flag -healthz-port: parse error',
    ],
  ])("%s: one line, the usage, exit 2", async (_, flags, words) => {
    const result = await agent(flags);
    expect(result.exitCode).toBe(2);
    const [first, second] = result.stderr.split("\n");
    expect(first).toContain(words);
    expect(second).toBe("Usage: flanneld [OPTION]...");
    await expectNothingMade();
  });

  test.each([
    [
      "a renew margin out of range",
      ["--subnet-lease-renew-margin=1440"],
      "out of acceptable range, give 1 to 1439",
    ],
    ["an endpoint that is none", ["--etcd-endpoints=nonsense"], "for flag -etcd-endpoints"],
    ["a mode that is not there", ["--kube-subnet-mgr"], "this agent keeps leases in etcd alone"],
    ["an expression that is none", [ETCD, "--iface-regex=("], "not a regular expression"],
    ["an address that is none", [ETCD, "--public-ip=node1"], "expected an IPv4 address"],
  ])("%s: one line, exit 2", async (_, flags, words) => {
    const result = await agent(flags);
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toMatch(/^[^\n]+\n$/);
    expect(result.stderr).toContain(words);
    await expectNothingMade();
  });

  test.each([
    ["text that is no JSON", "{", /config.*JSON/],
    ["no Network", '{"Backend":{"Type":"vxlan"}}', /please define a correct Network parameter/],
    [
      "a network that is too small",
      '{"Network":"10.3.0.0/29"}',
      /Minimum useful network prefix is \/28/,
    ],
    [
      "a SubnetLen out of range",
      '{"Network":"10.3.0.0/16","SubnetLen":31}',
      /SubnetLen must be less than \/31/,
    ],
    ["a SubnetLen too near", '{"Network":"10.3.0.0/16","SubnetLen":17}', /at least four subnets/],
    [
      "an IPv6-only network",
      '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/48","Backend":{"Type":"vxlan"}}',
      /IPv4/,
    ],
    [
      "an unknown backend",
      '{"Network":"10.244.0.0/16","Backend":{"Type":"gre"}}',
      /unknown backend type: "gre".*host-gw, vxlan/,
    ],
    [
      "a VNI out of range",
      '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan","VNI":16777216}}',
      /VNI/,
    ],
  ])("a network config with %s: one line, exit 1, nothing made", async (_, config, words) => {
    await lab.writeStore({ key: `${PREFIX}/config`, value: config });
    const result = await agent([ETCD]);
    expect(result.exitCode).toBe(1);
    const said = messages(result, "error", "warn");
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(words);
    await expectNothingMade();
  });

  test("no network config: waits, says once how to make one, and goes on when it is there", async () => {
    await lab.removeFromStore({ key: `${PREFIX}/config` });
    const waiting = agentUntil("flannel is ready", [ETCD]);
    await saidMeanwhile("config not found");
    await lab.writeStore({ key: `${PREFIX}/config`, value: GOOD });
    const result = await waiting;
    expect(result.exitCode).toBe(0);
    const said = messages(result, "warn", "error");
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/etcdctl .*put \/coreos\.com\/network\/config/);
    expect(messages(result, "info")).toContain("flannel is ready");
  });

  test("an etcd that does not answer: keeps trying, says so once", async () => {
    const result = await agentUntil("trying again", ["--etcd-endpoints=http://172.31.1.2:4001"]);
    expect(result.exitCode).toBe(0);
    const said = messages(result, "warn", "error");
    expect(said).toHaveLength(1);
    expect(said[0]).toContain("http://172.31.1.2:4001");
    await expectNothingMade();
  });

  test("an interface that is not there: lists the candidates", async () => {
    const result = await agent([ETCD, "--iface=eth7"]);
    expect(result.exitCode).toBe(1);
    expect(messages(result, "error")).toEqual([
      expect.stringMatching(/eth7.*eth0.*172\.31\.1\.11/),
    ]);
    await expectNothingMade();
  });

  test("no free subnet: says how many are leased", async () => {
    await lab.writeStore({
      key: `${PREFIX}/config`,
      value: '{"Network":"10.3.0.0/28","Backend":{"Type":"vxlan"}}',
    });
    const keys = ["10.3.0.4-30", "10.3.0.8-30", "10.3.0.12-30"].map(
      (name) => `${PREFIX}/subnets/${name}`,
    );
    for (const [index, key] of keys.entries()) {
      await lab.writeStore({
        key,
        value: `{"PublicIP":"198.51.100.${index + 1}","PublicIPv6":null}`,
      });
    }
    const result = await agent([ETCD]);
    for (const key of keys) {
      await lab.removeFromStore({ key });
    }
    expect(result.exitCode).toBe(1);
    expect(messages(result, "error")).toEqual([expect.stringContaining("out of subnets")]);
    await expectNothingMade();
  });

  test("no privileges: names the capability and the remedy", async () => {
    const result = await agent([ETCD], ["setpriv", "--bounding-set=-net_admin"]);
    expect(result.exitCode).toBe(1);
    expect(messages(result, "error")).toEqual([expect.stringMatching(/EPERM.*CAP_NET_ADMIN/)]);
    await expectNothingMade();
  });

  test("a directory that cannot be written: names the flag that chooses another", async () => {
    const result = await agent([ETCD, "--subnet-file=/proc/flannel/subnet.env"]);
    expect(result.exitCode).toBe(1);
    expect(messages(result, "error", "warn")).toEqual([
      expect.stringMatching(
        /^cannot lock \/proc\/flannel\/.subnet.env.lock: ENOENT.*-subnet-file$/,
      ),
    ]);
    await expectNothingMade();
  });

  test("forwarding that is off: says how to switch it on, and runs", async () => {
    const switchTo = (value: string): Promise<ExecResult> =>
      lab.exec({
        host: "n1",
        argv: ["sh", "-c", `echo ${value} > /proc/sys/net/ipv4/ip_forward`],
      });
    await switchTo("0");
    const result = await agentUntil("flannel is ready", [ETCD]);
    await switchTo("1");
    expect(result.exitCode).toBe(0);
    expect(messages(result, "error", "warn")).toEqual([
      expect.stringMatching(/^net\.ipv4\.ip_forward is 0: .*sysctl -w net\.ipv4\.ip_forward=1/),
    ]);
  });

  test("a health port in use: names the flag that chooses another", async () => {
    const stop = new AbortController();
    const listener = lab.exec(
      {
        host: "n1",
        argv: [process.execPath, "-e", "require('node:net').createServer().listen(8286)"],
      },
      { signal: stop.signal },
    );
    await lab.exec({
      host: "n1",
      argv: ["sh", "-c", "until ss -ltn | grep -q :8286; do sleep 0.05; done"],
      timeoutMs: 5_000,
    });
    const result = await agent([ETCD, "--healthz-port=8286"]);
    stop.abort();
    await listener;
    expect(result.exitCode).toBe(1);
    expect(messages(result, "error")).toEqual([
      expect.stringMatching(/8286: EADDRINUSE.*-healthz-port/),
    ]);
    await expectNothingMade();
  });

  test("a vxlan port in use: names the device and what the kernel said", async () => {
    const stop = new AbortController();
    const listener = lab.exec(
      {
        host: "n1",
        argv: [process.execPath, "-e", "require('node:dgram').createSocket('udp4').bind(8472)"],
      },
      { signal: stop.signal },
    );
    await lab.exec({
      host: "n1",
      argv: ["sh", "-c", "until ss -lun | grep -q :8472; do sleep 0.05; done"],
      timeoutMs: 5_000,
    });
    const result = await agent([ETCD]);
    stop.abort();
    await listener;
    expect(result.exitCode).toBe(1);
    expect(messages(result, "error")).toEqual([expect.stringMatching(/flannel\.1.*EADDRINUSE/)]);
    await expectNothingMade();
  });
});
