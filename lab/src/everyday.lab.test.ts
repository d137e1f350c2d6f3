import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readState } from "./state.ts";
import { type Deadline, deadlineIn, poll, systemClock } from "./system/clock.ts";
import { findProgram } from "./system/files.ts";
import { isSameProcess } from "./system/process-table.ts";
import { type CommandOutcome, outcomeOf, ROUTE_AGENT, Workplace } from "./testing/command-line.ts";
import { leftovers, lookAtMachine, type Machine } from "./testing/leftovers.ts";

const SOON_MS = 20_000;
const soon = (): Deadline => deadlineIn(systemClock, SOON_MS);

/** One lab for all that does not harm it: three nodes with this repository's agent. */
requires("lab", "vxlan")("every day in a lab", () => {
  let workplace: Workplace;
  let before: Machine;

  beforeAll(async () => {
    workplace = new Workplace();
    before = lookAtMachine();
    const up = await workplace.run("up", "--nodes", "3", "--family", "dual");
    if (up.exitCode !== 0) {
      throw new Error(`lab up: ${up.stderr}`);
    }
  });

  afterAll(async () => {
    for (const name of ["default", "doomed", "short"]) {
      await workplace.run("down", "--name", name);
    }
    const left = await leftovers(before, workplace);
    workplace[Symbol.dispose]();
    if (left.length > 0) {
      throw new Error(`left behind: ${left.join(", ")}`);
    }
  });

  it("gc: removes all of a lab whose supervisor was killed, and nothing of one that runs", async () => {
    const other = ["--nodes", "1", "--backend", "host-gw", "--flanneld", ROUTE_AGENT];
    expect((await workplace.run("up", "--name", "doomed", ...other)).exitCode).toBe(0);
    const doomed = join(workplace.labs, "doomed");
    const lab = readState(doomed)?.lab;
    process.kill(lab?.supervisor.pid ?? Number.NaN, "SIGKILL");
    await poll(systemClock, { everyMs: 5, deadline: soon() }, () =>
      lab !== undefined && isSameProcess(lab.supervisor) ? undefined : true,
    );
    const dry = await workplace.run("gc", "--dry-run");
    expect(dry).toMatchObject({
      exitCode: 0,
      stderr: "",
      stdout: `- doomed  would be removed  process ${lab?.supervisor.pid}, its supervisor, is gone\n`,
    });
    expect(existsSync(doomed)).toBe(true);

    const gc = await workplace.run("gc", "--json");
    expect(gc).toMatchObject({ exitCode: 0, stderr: "" });
    expect(JSON.parse(gc.stdout)).toMatchObject({
      directory: workplace.labs,
      labs: [
        { path: join(workplace.labs, "default"), fate: "alive", outcome: "left alone" },
        { path: doomed, fate: "dead", outcome: "removed" },
      ],
    });
    expect(readdirSync(workplace.labs)).toEqual(["default"]);
    expect(
      [lab?.unshare, lab?.init, lab?.supervisor].map((one) => one && isSameProcess(one)),
    ).toEqual([false, false, false]);
    const ping = await workplace.run("ping");
    expect(ping.stdout).toContain("12/12 pod pairs reach each other");
    expect((await workplace.run("gc")).stdout).toBe(
      `no dead lab is in ${workplace.labs}; 1 running\n`,
    );
  });

  it("graph: draws what kernels hold, with what is missing, and the same again when it is back", async () => {
    const whole = await workplace.run("graph");
    expect(whole).toMatchObject({ exitCode: 0, stderr: "" });
    expect(whole.stdout.match(/<-->\|"vxlan"\|/g)).toHaveLength(3);
    expect(whole.stdout).not.toContain("%%");
    expect(whole.stdout).toContain('subgraph segment1["172.31.1.0/24 fd00:31:0:1::/64"]');

    expect((await workplace.run("fault", "pause-agent", "n1")).exitCode).toBe(0);
    const subnet = /n2<br\/>.*?pods ([\d./]+)/.exec(whole.stdout)?.[1] ?? "";
    expect((await workplace.run("exec", "n1", "ip", "route", "del", subnet)).exitCode).toBe(0);
    const missing = `n1 → n2 missing: no route to ${subnet}`;
    const broken = await workplace.run("graph");
    expect(broken.stdout).toContain(`  n1 -.->|"missing: no route to ${subnet}"| n2\n`);
    expect(broken.stdout).toContain(`  %% ${missing}\n`);
    expect((await workplace.run("graph", "--format", "dot")).stdout).toContain(`  // ${missing}\n`);
    const svg = await workplace.run("graph", "--format", "svg");
    expect(svg.stdout).toContain(missing);
    expect((await workplace.run("graph", "--format", "svg")).stdout).toBe(svg.stdout);

    expect((await workplace.run("heal")).exitCode).toBe(0);
    const again = await poll(systemClock, { everyMs: 100, deadline: soon() }, async () => {
      const { stdout } = await workplace.run("graph");
      return stdout.includes("%%") ? undefined : stdout;
    });
    expect(again).toBe(whole.stdout);
  });

  it("events: tells what happened and what happens, until it is interrupted or the lab ends", async () => {
    const other = ["--nodes", "1", "--backend", "host-gw", "--flanneld", ROUTE_AGENT];
    expect((await workplace.run("up", "--name", "short", ...other)).exitCode).toBe(0);
    const [text, json] = [[], ["--json"]].map(
      (more) => new Follower(workplace.start("events", "--name", "short", "--follow", ...more)),
    );
    // Both have told the past once they have told of pings, the last step of `up`.
    await Promise.all([text?.untilSays(/ping/), json?.untilSays(/ping/)]);
    await workplace.run("fault", "kill-agent", "n1", "--name", "short");
    const struck = /SIGKILL[^]*kill-agent n1/;
    await Promise.all([text?.untilSays(struck), json?.untilSays(struck)]);
    text?.interrupt();
    expect(await text?.outcome).toMatchObject({
      exitCode: 0,
      stderr: "",
      stdout: expect.stringMatching(
        /^\S+Z  up: etcd, .*\n[^]*Z  n1: agent started\n[^]*Z  up: ping, [^]*Z  n1: agent ended, SIGKILL\n[^]*\n$/,
      ),
    });
    expect((await workplace.run("events", "--name", "short")).stdout).toContain(
      "f1 kill-agent n1: on, ",
    );
    expect((await workplace.run("down", "--name", "short")).exitCode).toBe(0);
    const { exitCode, stdout, stderr } = (await json?.outcome) ?? {};
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const told = (stdout ?? "")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
    expect(told).toContainEqual(
      expect.objectContaining({ type: "agent-ended", host: "n1", signal: "SIGKILL" }),
    );
    expect(told.at(-1)).toEqual({ at: expect.stringMatching(/Z$/), type: "lab-ended" });
  });

  it("capture: runs tcpdump where the host is, and ends it when its time is over", async () => {
    // Only what is asked of it, so that the test does not depend on what the machine has.
    const bin = join(workplace.scratch, "bin");
    mkdirSync(bin);
    const standIn = `#!/bin/sh\ntrap 'echo ended; kill $!; exit 0' INT\nhostname; ip -4 -br address show eth0; echo "$@"\nsleep 60 >/dev/null 2>&1 & wait\n`;
    writeFileSync(join(bin, "tcpdump"), standIn, { mode: 0o755 });
    const path = { PATH: `${bin}:${process.env["PATH"]}` };
    const file = join(bin, "packets of n2");
    try {
      const words = ["capture", "n2", "--count", "7", "--for", "300ms", "udp", "port", "8472"];
      const shown = await outcomeOf(workplace.start(path, ...words));
      const said =
        /^n2\neth0@\S+ +UP +172\.31\.1\.12\/24 *\n-Z root -nn -i eth0 -c 7 (.*)\nended\n$/;
      expect(shown).toMatchObject({ exitCode: 0, stderr: "" });
      expect(said.exec(shown.stdout)?.[1]).toBe("-l -- udp port 8472");
      const written = await outcomeOf(workplace.start(path, ...words, "--write", file));
      expect(written).toEqual({ exitCode: 0, stdout: "", stderr: "" });
      expect(said.exec(readFileSync(file, "utf8"))?.[1]).toBe("-U -w - -- udp port 8472");
    } finally {
      rmSync(bin, { recursive: true });
    }
  });

  it("capture: shows the packets of a host, or says which package is missing", async () => {
    const follower = new Follower(
      workplace.start("capture", "n1", "--count", "2", "icmp", "and", "host", "172.31.1.12"),
    );
    const isInstalled = findProgram("tcpdump") !== undefined;
    if (isInstalled) {
      await follower.untilSays(/listening on eth0/);
      await workplace.run("exec", "n2", "--", "ping", "-c", "1", "-W", "2", "172.31.1.11");
    }
    const { exitCode, stdout, stderr } = await follower.outcome;
    expect(exitCode).toBe(isInstalled ? 0 : 1);
    expect(isInstalled ? stdout : stderr).toMatch(
      isInstalled
        ? /172\.31\.1\.12 > 172\.31\.1\.11: ICMP echo request[^]*172\.31\.1\.11 > 172\.31\.1\.12: ICMP echo reply/
        : /^lab: this machine has no tcpdump: on Debian run .* tcpdump\n$/,
    );
  });

  it("capture: knows no host that is not there", async () => {
    const absent = await workplace.run("capture", "n9");
    expect(absent).toMatchObject({ exitCode: 1, stdout: "" });
    expect(absent.stderr).toMatch(
      /^lab: (there is no host "n9"|this machine has no tcpdump)[^\n]*\n$/,
    );
  });

  it("node restart: ends the agent as it is told to, and starts it", async () => {
    const pidOf = async (): Promise<number | undefined> => {
      const ps = await workplace.run("ps", "--json");
      const { nodes } = JSON.parse(ps.stdout) as { nodes: { name: string; pid: number }[] };
      return nodes.find(({ name }) => name === "n2")?.pid;
    };
    const pids = [await pidOf()];
    for (const [flags, signal] of [
      [[], "SIGTERM"],
      [["--kill"], "SIGKILL"],
    ] as const) {
      const restarted = await workplace.run("node", "restart", "n2", ...flags);
      expect(restarted).toEqual({ exitCode: 0, stdout: "✓ n2 ready\n", stderr: "" });
      const { stdout } = await workplace.run("events");
      expect(stdout).toMatch(
        new RegExp(
          `n2: the lab sends ${signal} to the agent\n[^]*n2: agent ended, [^]*n2: agent started\n$`,
        ),
      );
      pids.push(await pidOf());
    }
    expect(new Set(pids).size).toBe(3);
    expect(pids).not.toContain(undefined);
  });

  it("scale: adds nodes and takes them away until there are as many, and all reach all", async () => {
    expect((await workplace.run("node", "rm", "n2")).exitCode).toBe(0);
    const up = await workplace.run("scale", "4");
    expect(up).toEqual({
      exitCode: 0,
      stdout: '✓ n2 ready\n✓ n4 ready\n✓ lab "default" has 4 nodes\n',
      stderr: "",
    });
    expect((await workplace.run("ping")).stdout).toContain("24/24 pod pairs reach each other");
    const down = await workplace.run("scale", "3", "--json");
    expect(down).toMatchObject({ exitCode: 0, stderr: "" });
    expect(JSON.parse(down.stdout)).toMatchObject({
      nodes: ["n1", "n2", "n3"].map((name) => ({ name, state: "ready" })),
    });
    const same = await workplace.run("scale", "3");
    expect(same.stdout).toBe('✓ lab "default" has 3 nodes\n');
  });

  it("completion: bash completes verbs, flags, hosts and labs", async () => {
    const script = await workplace.run("completion", "bash");
    expect(script).toMatchObject({ exitCode: 0, stderr: "" });
    /** What bash offers in the place of the last word. */
    const offered = async (...words: readonly string[]): Promise<readonly string[]> => {
      const ask = `COMP_WORDS=(lab "$@") COMP_CWORD=$#; _lab_complete; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const argv = ["--norc", "-c", `${script.stdout}\n${ask}`, "bash", ...words];
      const { stdout, stderr } = await outcomeOf(
        spawn("bash", argv, { env: workplace.environment }),
      );
      expect(stderr).toBe("");
      return stdout.split("\n").filter((word) => word !== "");
    };
    expect(await offered("fa")).toEqual(["fault"]);
    expect(await offered("node", "re")).toEqual(["restart"]);
    expect(await offered("node", "rm", "n")).toEqual(["n1", "n2", "n3"]);
    expect(await offered("exec", "")).toEqual(["n1", "n2", "n3", "etcd"]);
    expect(await offered("ps", "--na")).toEqual(["--name"]);
    expect(await offered("ps", "--name", "")).toEqual(["default"]);
    expect(await offered("node", "rm", "--name", "none", "")).toEqual([]);
    expect(await offered("fault", "delete-l")).toEqual(["delete-lease", "delete-link"]);
    const registered = spawn(
      "bash",
      ["--norc", "-c", `${script.stdout}\ncomplete -p lab; lab --help`],
      {
        env: workplace.environment,
      },
    );
    const { stdout } = await outcomeOf(registered);
    expect(stdout).toMatch(/^complete -F _lab_complete lab\nA cluster of network namespaces/);
  });
});

/** A command that goes on, with what it has said so far. */
class Follower {
  readonly outcome: Promise<CommandOutcome>;
  readonly #child: ChildProcess;
  #said = "";
  #more: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(child: ChildProcess) {
    this.#child = child;
    this.outcome = outcomeOf(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#said += chunk.toString("utf8");
        this.#wake();
      });
    }
    child.once("close", () => {
      this.#wake();
    });
  }

  /** Waits until it has printed what is asked for. */
  async untilSays(what: RegExp): Promise<void> {
    while (!what.test(this.#said)) {
      if (this.#child.exitCode !== null) {
        throw new Error(`it ended and only said: ${this.#said}`);
      }
      await this.#more.promise;
    }
  }

  interrupt(): void {
    this.#child.kill("SIGINT");
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }
}
