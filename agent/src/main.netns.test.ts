/** The agent as a process, in a network namespace where no store answers: what it says, with which exit code, and what it leaves. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const AGENT = join(import.meta.dirname, "main.ts");
const NOBODY = "--etcd-endpoints=http://127.0.0.1:1";
const SECRETS = { FLANNELD_ETCD_PASSWORD: "canary-in-the-environment" };

requires("netns")("the agent's process", () => {
  let directory = "";
  const agents: ChildProcess[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "agent-process-"));
  });
  afterEach(() => {
    for (const agent of agents.splice(0)) agent.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  });

  /** A running agent; `unshare` and `sh` become it, so that its process id is known. */
  class Running {
    readonly process: ChildProcess;
    said = "";
    readonly #ended: Promise<unknown>;

    constructor(words: readonly string[], environment: Record<string, string> = {}) {
      const subnetFile = `--subnet-file=${join(directory, "flannel", "subnet.env")}`;
      this.process = spawn(
        "unshare",
        ["-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"].concat(
          process.execPath,
          AGENT,
          subnetFile,
          `--state-dir=${join(directory, "state")}`,
          words,
        ),
        { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...environment } },
      );
      agents.push(this.process);
      this.#ended = once(this.process, "close");
      for (const stream of [this.process.stdout, this.process.stderr])
        stream?.setEncoding("utf8").on("data", (text: string) => {
          this.said += text.replaceAll(directory, "");
        });
    }

    /** Waits until it has said this. @throws Error when it ends without */
    async says(words: string): Promise<void> {
      await Promise.race([this.#ended, this.#heard(words)]);
      if (!this.said.includes(words)) throw new Error(`never said "${words}": ${this.said}`);
    }

    /** Waits for its end. */
    async exitCode(): Promise<number | null> {
      await this.#ended;
      return this.process.exitCode;
    }

    async #heard(words: string): Promise<void> {
      const { stderr } = this.process;
      if (stderr === null) throw new Error("its standard error is not read");
      while (!this.said.includes(words)) await once(stderr, "data");
    }
  }

  function messages({ said }: Running, ...levels: readonly string[]): readonly string[] {
    return said
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { level: string; msg: string })
      .filter(({ level }) => levels.includes(level))
      .map(({ msg }) => msg);
  }

  describe("bad flags", () => {
    test.each([
      ["an unknown flag", ["--nope=canary"], {}, "flag provided but not defined: -nope"],
      ["no value", [NOBODY, "-v"], {}, "flag needs an argument: -v"],
      ["bad syntax", ["---etcd-password=canary"], {}, "bad flag syntax: ---etcd-password=…"],
    ])("%s: one line, the usage, exit 2, nothing left", async (_, words, environment, line) => {
      const agent = new Running(words, { ...SECRETS, ...environment });
      expect(await agent.exitCode()).toBe(2);
      const [first, second] = agent.said.split("\n");
      expect([first, second]).toEqual([line, "Usage: flanneld [OPTION]..."]);
      expect(agent.said).not.toContain("canary");
      expect(readdirSync(directory)).toEqual([]);
    });

    test.each<[string, string[], Record<string, string>, string]>([
      ["out of range", ["--subnet-lease-renew-margin=0"], {}, "give 1 to 1439"],
      ["a variable out of range", [], { FLANNELD_HEALTHZ_PORT: "70000" }, "FLANNELD_HEALTHZ_PORT"],
      [
        "Kubernetes",
        ["--kube-subnet-mgr"],
        {},
        "flag -kube-subnet-mgr: this agent keeps leases in",
      ],
      [
        "its variable",
        [],
        { FLANNELD_KUBE_SUBNET_MGR: "1" },
        "variable FLANNELD_KUBE_SUBNET_MGR: ",
      ],
      [
        "a password in a URL",
        ["--etcd-endpoints=http://root:canary@a:1"],
        {},
        '(there is an "@" in it)',
      ],
      ["an expression", ["--iface-regex=("], {}, "--iface-regex=(: not a regular expression"],
      ["mixed schemes", ["--etcd-endpoints=http://a:1,https://b:1"], {}, "mix plain text and TLS"],
    ])("%s: one line, exit 2, nothing left", async (_, words, environment, line) => {
      const agent = new Running(words, { ...SECRETS, ...environment });
      expect(await agent.exitCode()).toBe(2);
      const lines = agent.said.trim().split("\n");
      expect(lines.at(-1)).toContain(line);
      expect(lines.filter((one) => !/"level":"(info|warn)"/.test(one))).toHaveLength(1);
      expect(agent.said).not.toContain("canary");
      expect(existsSync(join(directory, "flannel", "subnet.env"))).toBe(false);
    });
  });

  test("--help and --version: standard error, exit 0, no secret", async () => {
    const help = new Running(["--help"], SECRETS);
    const version = new Running(["--version"], SECRETS);
    expect(await help.exitCode()).toBe(0);
    expect(await version.exitCode()).toBe(0);
    expect(help.said).toMatch(/^Usage: flanneld \[OPTION\]/);
    expect(help.said).not.toContain("canary");
    expect(version.said).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  describe("secrets", () => {
    const pem = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5canary\n-----END PRIVATE KEY-----\n";

    test.each<[string, string[], Record<string, string>, string]>([
      ["in the environment", [NOBODY, "--etcd-username=node"], SECRETS, "trying again"],
      [
        "on the command line",
        [NOBODY, "--etcd-username=u", "--etcd-password=canary"],
        {},
        "trying again",
      ],
      ["behind the flags", [NOBODY, "x", "--etcd-password", "canary words"], {}, "trying again"],
      ["in a misspelt variable", [NOBODY], { FLANNELD_ETCD_PASWORD: "canary" }, "trying again"],
      ["in a key", ["KEY", "--etcd-endpoints=https://127.0.0.1:1"], {}, "/key.pem"],
    ])("%s are in no line, however much is logged", async (_, words, environment, expected) => {
      writeFileSync(join(directory, "key.pem"), pem);
      const key = ["keyfile", "certfile"].map((kind) => `--etcd-${kind}=${directory}/key.pem`);
      const given = words.flatMap((word) => (word === "KEY" ? key : [word]));
      const agent = new Running(["-v=9", ...given], environment);
      await agent.says(expected);
      agent.process.kill("SIGTERM");
      await agent.exitCode();
      expect(agent.said).toContain('"msg":"CLI flags config"');
      expect(agent.said).not.toContain("canary");
    });
  });

  test("E3: a second agent is refused by the name of the first, and not after a kill -9", async () => {
    const first = new Running([NOBODY]);
    await first.says("trying again");
    const second = new Running([NOBODY]);
    expect(await second.exitCode()).toBe(1);
    expect(messages(second, "warn", "error")).toEqual([
      `another flanneld, process ${first.process.pid}, already serves /flannel/subnet.env: stop it first, or give this one its own -subnet-file and -etcd-prefix`,
    ]);
    first.process.kill("SIGKILL");
    await first.exitCode();
    const third = new Running([NOBODY]);
    await third.says("trying again");
    third.process.kill("SIGINT");
    expect(await third.exitCode()).toBe(0);
    expect(readdirSync(join(directory, "flannel"))).toEqual([".subnet.env.lock"]);
  });

  test("a service manager hears of the start, of life, and of the stop", async () => {
    const socket = join(directory, "notify");
    const listener = spawn("perl", ["-e", LISTENER, socket], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    agents.push(listener);
    const silent = once(listener, "close");
    let told = "";
    listener.stdout.setEncoding("utf8").on("data", (text: string) => (told += text));
    await once(listener.stdout, "data");
    const agent = new Running([NOBODY], { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "200000" });
    while ((told.match(/WATCHDOG=1/g) ?? []).length < 3) await once(listener.stdout, "data");
    agent.process.kill("SIGTERM");
    expect(await agent.exitCode()).toBe(0);
    await silent;
    expect(told.replaceAll(/(WATCHDOG=1\n)+/g, "WATCHDOG=1\n")).toBe(
      "listening\nSTATUS=starting\nWATCHDOG=1\nSTOPPING=1|STATUS=stopping\n",
    );
  });
});

/** Node has no unix datagrams. Prints each as a line until one says that the agent stops. */
const LISTENER = `
  use Socket;
  socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die;
  bind($socket, pack_sockaddr_un($ARGV[0])) or die "bind: $!";
  $| = 1;
  print "listening\\n";
  while (1) {
    recv($socket, my $text, 8192, 0);
    my $last = $text =~ /STOPPING/;
    $text =~ s/\\n/|/g;
    print "$text\\n";
    last if $last;
  }
`;
