/** The image of deploy/image: built without a network, and run where a host's agent was. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeImage } from "./hosts/container/image.ts";
import { type LaunchedLab, launchLab } from "./launch.ts";
import { labOptions } from "./options.ts";
import { defaultFlanneld } from "./own-agent.ts";
import { hostFiles, runFiles } from "./run-directory.ts";
import { parseSubnetFile } from "./subnet-file.ts";
import { deadlineIn, poll, systemClock } from "./system/clock.ts";
import { repositoryDirectory } from "./system/machine.ts";
import { Workplace } from "./testing/command-line.ts";
import { writeBuildBase } from "./testing/image-bases.ts";
import { ImageEngine } from "./testing/image-engine.ts";
import { leftovers, lookAtMachine, type Machine } from "./testing/leftovers.ts";

const REPOSITORY = repositoryDirectory();
const IMAGE_FILE = "deploy/image/Dockerfile";
const IMAGE = "flanneld:test";
const BASES = { BUILD_IMAGE: "twill-build-base", RUNTIME_IMAGE: "twill-runtime-base" } as const;
const ETCD = "--etcd-endpoints=http://172.31.1.2:2379";

const SET_UP_LIMIT_MS = 300_000;
const READY_WITHIN_MS = 20_000;
/** From SIGTERM to the end. */
const END_WITHIN_MS = 2_000;
const BYTES_PER_MIB = 1 << 20;
/** Beside its base: Node, which is nearly all of it, the agent and its native half. */
const OWN_MIB_MAX = 110;

/** What `docker build` would send: everything but what the image file's own list says. */
function writeContext(tarFile: string): void {
  const patterns = readFileSync(join(REPOSITORY, `${IMAGE_FILE}.dockerignore`), "utf8")
    .trim()
    .split("\n")
    .map((line) =>
      line.startsWith("**/")
        ? ["--no-anchored", `--exclude=${line.slice(3)}`]
        : ["--anchored", `--exclude=./${line}`],
    );
  const words = ["--create", "--file", tarFile, "--directory", REPOSITORY, ...patterns.flat(), "."];
  const { status, stderr } = spawnSync("tar", words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`tar: ${stderr}`);
}

requires(
  "lab",
  "docker",
  "vxlan",
)("the container image", () => {
  let workplace: Workplace;
  let before: Machine;
  let launched: LaunchedLab;
  let engine: ImageEngine;
  let built: string;
  /** What is to be undone, first done last. */
  const ends: (() => Promise<void> | void)[] = [];

  beforeAll(async () => {
    workplace = new Workplace();
    before = lookAtMachine();
    const options = labOptions(
      { driver: "container", nodes: 2 },
      { flanneld: defaultFlanneld(), workingDirectory: "/" },
    );
    launched = await launchLab(options, join(workplace.labs, "default"));
    ends.push(() => launched.down());
    const { dockerDirectory } = runFiles(launched.runDirectory);
    engine = new ImageEngine(join(dockerDirectory, "api"));
    ends.push(() => {
      engine.close();
    });
    const tarFile = join(dockerDirectory, "test.tar");
    for (const [name, write] of [
      [BASES.RUNTIME_IMAGE, writeImage],
      [BASES.BUILD_IMAGE, writeBuildBase],
    ] as const) {
      await write(tarFile);
      await engine.importImage(tarFile, name);
    }
    writeContext(tarFile);
    built = await engine.build({ tarFile, imageFile: IMAGE_FILE, tag: IMAGE, arguments: BASES });
    rmSync(tarFile);
  }, SET_UP_LIMIT_MS);

  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
    const left = await leftovers(before, workplace);
    workplace[Symbol.dispose]();
    if (left.length > 0) {
      throw new Error(`left behind: ${left.join(", ")}`);
    }
  });

  it("is built from its sources in one go, and all it adds is Node and the agent", async () => {
    expect(built).toContain("/src/dist/flanneld.cjs");
    const sizes = await Promise.all(
      [IMAGE, BASES.RUNTIME_IMAGE].map((name) => engine.sizeOf(name)),
    );
    const [whole = 0, base = 0] = sizes;
    const ownMib = (whole - base) / BYTES_PER_MIB;
    process.stdout.write(`the image adds ${ownMib.toFixed(1)} MiB to its base\n`);
    expect(ownMib).toBeLessThan(OWN_MIB_MAX);
  });

  it("says its version and its flags, and ends", async () => {
    const run = async (word: string): Promise<{ exitCode: number; text: string }> =>
      engine.outcome(await engine.start(IMAGE, { Cmd: [word] }));
    const manifest = readFileSync(join(REPOSITORY, "agent/package.json"), "utf8");
    const { version } = JSON.parse(manifest) as { readonly version: string };
    expect(await run("--version")).toEqual({ exitCode: 0, text: `${version}\n` });
    const help = await run("--help");
    expect(help.exitCode).toBe(0);
    expect(help.text).toMatch(/^Usage: .*flanneld/);
    expect(help.text).toContain("-etcd-endpoints");
    expect((await run("--no-such-flag")).exitCode).toBe(2);
  });

  it("E4: carries the pods of a node with the two capabilities, and ends within 2 s when it is told to", async () => {
    const { lab, runDirectory } = launched;
    const { run, subnetFile } = hostFiles(runDirectory, "n1");
    const onHost = async (script: string): Promise<string> =>
      (await lab.exec({ host: "n1", argv: ["sh", "-c", script] })).stdout.trim();
    await lab.killAgent({ host: "n1", signal: "SIGTERM" });
    const subnet = readFileSync(subnetFile, "utf8");
    await onHost(
      "ip link delete flannel.1; rm /run/flannel/subnet.env; iptables --flush FLANNEL-FWD",
    );
    expect(existsSync(subnetFile)).toBe(false);

    const id = await engine.start(IMAGE, {
      Cmd: [ETCD],
      HostConfig: {
        NetworkMode: "container:n1",
        CapAdd: ["NET_ADMIN", "NET_RAW"],
        Binds: [`${join(run, "flannel")}:/run/flannel`],
      },
    });
    const deadline = deadlineIn(systemClock, READY_WITHIN_MS);
    const isReady = await poll(systemClock, { everyMs: 20, deadline }, async () => {
      const text = existsSync(subnetFile) ? readFileSync(subnetFile, "utf8") : "";
      if (parseSubnetFile(text) !== undefined) return true;
      return (await engine.isRunning(id)) ? undefined : false;
    });
    expect(isReady, await engine.said(id)).toBe(true);
    expect(readFileSync(subnetFile, "utf8")).toBe(subnet);
    expect(await onHost("ip -details link show flannel.1")).toMatch(/vxlan id 1 .* dstport 8472/);
    expect(await onHost("iptables --list-rules FLANNEL-FWD")).toContain("-j ACCEPT");
    await lab.waitReachable({ timeoutMs: READY_WITHIN_MS });

    const startMs = systemClock.nowMs();
    await engine.signal(id, "SIGTERM");
    const { exitCode, text } = await engine.outcome(id);
    expect(systemClock.nowMs() - startMs).toBeLessThan(END_WITHIN_MS);
    expect(exitCode, text).toBe(0);
    // What it found to do it could do: nothing is missing in the image, and no right but the one that Docker's containers lack.
    const complaints = [...text.matchAll(/^\S+ [WE] (.*)$/gmu)].map(([, said]) => said);
    expect(complaints).toEqual(["cannot put sysctl net/ipv6/conf/flannel.1/accept_ra = 0: EROFS"]);
    await lab.waitReachable({ timeoutMs: READY_WITHIN_MS });
  });
});
