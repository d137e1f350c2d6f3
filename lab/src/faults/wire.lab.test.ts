import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { anchorOf, enter } from "../commands/exec.ts";
import { messageOf } from "../errors.ts";
import { enterNamespaces } from "../hosts/anchor.ts";
import type { FaultRequest, Lab } from "../lab.ts";
import { type LaunchedLab, launchLab } from "../launch.ts";
import { labOptions } from "../options.ts";
import { defaultFlanneld } from "../own-agent.ts";
import { type LabState, readState } from "../state.ts";
import { deadlineIn, poll, systemClock } from "../system/clock.ts";
import { workingDirectory } from "../system/machine.ts";
import { runChecked, signalProcess } from "../system/processes.ts";
import { Workplace } from "../testing/command-line.ts";
import { WIRE_VARIABLE } from "./impairment.ts";
import { QUEUE_FRAMES } from "./wire.ts";

const SOON_MS = 20_000;
const ROUTER = "172.31.1.1";
const PEER = "172.31.1.12";
const HEALED = { saw: expect.any(String) };

requires(
  "lab",
  "vxlan",
  "nft",
  "tun",
)("the userspace wire", () => {
  let workplace: Workplace;
  let launched: LaunchedLab;
  let lab: Lab;
  let state: NonNullable<LabState["lab"]>;

  beforeAll(async () => {
    // Also where the kernel has netem.
    process.env[WIRE_VARIABLE] = "1";
    workplace = new Workplace();
    const options = labOptions(
      { nodes: 2, dualStack: true },
      { flanneld: defaultFlanneld(), workingDirectory: workingDirectory() },
    );
    launched = await launchLab(options, join(workplace.labs, "default"));
    ({ lab } = launched);
    const known = readState(launched.runDirectory)?.lab;
    if (known === undefined) {
      throw new Error("the lab has no state");
    }
    state = known;
    await lab.waitReady({ timeoutMs: SOON_MS });
    await lab.waitReachable({ timeoutMs: SOON_MS });
  });
  afterEach(async () => {
    await lab.healFaults({});
  });
  afterAll(async () => {
    delete process.env[WIRE_VARIABLE];
    await launched.down();
    workplace[Symbol.dispose]();
  });

  /** Where the switch is, without the supervisor's help. */
  function atSwitch(...argv: readonly string[]): Promise<string> {
    const user = state.usesUserNamespace ? ["--user", "--preserve-credentials"] : [];
    return runChecked(enterNamespaces(state.init.pid, argv, [...user, "--pid"]));
  }

  /** All that a wire could leave at the switch. */
  async function switchState(): Promise<readonly string[]> {
    const links = await atSwitch("ip", "-o", "link", "show");
    const names = links.split("\n").map((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? "");
    const rules = await atSwitch("nft", "list", "ruleset");
    return [...names.filter((name) => name.startsWith("wire")), rules];
  }

  function strike(fault: string, parameters: FaultRequest["parameters"], host = "n1") {
    return lab.injectFault({ fault, host, parameters });
  }

  async function waitUntil(is: () => Promise<boolean>): Promise<void> {
    const deadline = deadlineIn(systemClock, SOON_MS);
    const look = async (): Promise<true | undefined> => (await is()) || undefined;
    expect(await poll(systemClock, { everyMs: 5, deadline }, look)).toBe(true);
  }

  async function pings(...words: readonly string[]): Promise<string> {
    return (await lab.exec({ host: "n1", argv: ["ping", ...words] })).stdout;
  }

  it("F1: leaves nothing of it, neither at the switch nor on the host, and shows the host no link while it is on", async () => {
    const links = async (): Promise<string> =>
      (await lab.exec({ host: "n1", argv: ["ip", "-o", "link", "show"] })).stdout;
    const before = [await links(), await switchState()];
    await strike("delay", { ms: "20" });
    expect(await switchState()).toEqual(
      expect.arrayContaining(["wire-n1-in", "wire-n1-out", expect.stringContaining("fwd to")]),
    );
    expect(await links()).toBe(before[0]);
    expect(await lab.healFaults({})).toMatchObject([HEALED]);
    expect([await links(), await switchState()]).toEqual(before);
  });

  it("carries frames of any size, and more of them than any check sends", async () => {
    await strike("delay", { ms: "100" });
    expect(await pings("-q", "-c2", "-W3", "-s60000", PEER)).toContain(" 2 received");
    // As fast as ping can, and then what is on the wire is more than an impatient one would hold.
    const flood = await pings("-q", "-c5000", "-l5000", "-W3", PEER);
    expect(flood).toContain("5000 received");
    expect(await lab.healFaults({})).toMatchObject([HEALED]);
  });

  it("adds up with all other faults, and is refused where there is one already", async () => {
    await strike("delay", { ms: "30", direction: "in" });
    await expect(strike("jitter", { ms: "30" })).rejects.toThrow(
      "n1 is on a wire already, wire-n1-in: heal that fault first",
    );
    await strike("corrupt", { percent: "20", direction: "out" });
    await strike("duplicate", { percent: "100" });
    await strike("loss", { percent: "10", direction: "in" });
    const all = await lab.listFaults({ look: true });
    expect(all.map(({ saw }) => saw)).toEqual(Array(4).fill(expect.any(String)));
    expect(await lab.healFaults({})).toMatchObject(all.map(() => HEALED));
  });

  it("delays what is copied once: copies are made of what it carried, and not carried again", async () => {
    await strike("delay", { ms: "400" });
    await strike("duplicate", { percent: "100" });
    const text = await pings("-q", "-c4", "-i0.01", "-W3", PEER);
    const copies = Number(/\+(\d+) duplicates/.exec(text)?.[1]);
    const slowestMs = Number(/ = [\d.]+\/[\d.]+\/([\d.]+)/.exec(text)?.[1]);
    // One of each request, and of each answer to both; ping waits for no copies of the last.
    expect(copies).toBeGreaterThanOrEqual(3 * 3);
    expect(copies).toBeLessThanOrEqual(3 * 4);
    expect(slowestMs).toBeGreaterThanOrEqual(800);
    expect(slowestMs).toBeLessThan(1200);
    expect(await lab.healFaults({})).toMatchObject([HEALED, HEALED]);
  });

  it("is undone where nobody can look at it any more, since its host went meanwhile", async () => {
    const isOn = async (): Promise<boolean> => {
      const argv = ["ping", "-c1", "-W0.2", ROUTER];
      return (await lab.exec({ host: "n3", argv })).stdout.includes(" 0 received");
    };
    const before = await switchState();
    await lab.addHost({ host: "n3" });
    await lab.waitReady({ timeoutMs: SOON_MS });
    const striking = strike("delay", { ms: "1500", direction: "in" }, "n3");
    const refused = striking.catch((error: unknown) => messageOf(error));
    await waitUntil(isOn);
    await lab.removeHost({ host: "n3" });
    expect(await refused).toMatch('there is no host "n3"');
    expect(await lab.listFaults({})).toEqual([]);
    expect(await switchState()).toEqual(before);
  });

  it("is over with its host, and does not hinder another of the same name", async () => {
    const before = await switchState();
    await lab.addHost({ host: "n3" });
    await lab.waitReady({ timeoutMs: SOON_MS });
    await strike("delay", { ms: "1500" }, "n3");
    await lab.removeHost({ host: "n3" });
    await lab.addHost({ host: "n3" });
    await lab.waitReady({ timeoutMs: SOON_MS });
    const argv = ["ping", "-q", "-c3", "-i0.01", "-W1", PEER];
    expect((await lab.exec({ host: "n3", argv })).stdout).toContain(" 3 received");
    expect(await lab.healFaults({})).toMatchObject([HEALED]);
    await lab.removeHost({ host: "n3" });
    expect(await switchState()).toEqual(before);
  });

  it("F2: says what it lost itself, so that nobody is blamed for it", async () => {
    await strike("delay", { ms: "20", direction: "out" });
    const anchorPid = anchorOf(await lab.status({}), "n1", false);
    const frames = 2 * QUEUE_FRAMES;
    const flood = `timeout 20 ping -q -c${frames} -l${frames} -W0.1 ${PEER} || true`;
    // Its thread stands still, until the device has no room any more.
    signalProcess(state.supervisor.pid, "SIGSTOP");
    try {
      await runChecked(enter(state, anchorPid, ["sh", "-c", flood]));
    } finally {
      signalProcess(state.supervisor.pid, "SIGCONT");
    }
    const [report] = await lab.healFaults({});
    expect(report).not.toHaveProperty("saw");
    expect(report?.trouble).toMatch(/^wire-n1-out lost \d+ frames, for which it had no room$/);
    expect(await lab.healFaults({})).toMatchObject([HEALED]);
  });
});
