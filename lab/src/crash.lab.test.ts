import { existsSync } from "node:fs";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readState } from "./state.ts";
import { deadlineIn, poll, systemClock } from "./system/clock.ts";
import { outcomeOf, ROUTE_AGENT, Workplace } from "./testing/command-line.ts";
import { leftovers, lookAtMachine, type Machine, markedProcesses } from "./testing/leftovers.ts";

const UP = ["up", "--nodes", "2", "--backend", "host-gw", "--flanneld", ROUTE_AGENT];
const WAIT_MS = 20_000;

requires("lab")("a lab whose supervisor is killed", () => {
  let workplace: Workplace;
  let before: Machine;

  beforeEach(() => {
    workplace = new Workplace();
    before = lookAtMachine();
  });

  afterEach(() => {
    workplace[Symbol.dispose]();
  });

  /** Waits until a process of the lab is known, and kills it as `kill -9` does. */
  async function kill(which: "unshare" | "init" | "supervisor"): Promise<void> {
    const deadline = deadlineIn(systemClock, WAIT_MS);
    const pid = await poll(systemClock, { everyMs: 2, deadline }, () => {
      return readState(join(workplace.labs, "default"))?.lab?.[which].pid;
    });
    process.kill(pid ?? Number.NaN, "SIGKILL");
  }

  it.each([
    ["etcd", "supervisor"],
    ["hosts", "unshare"],
    ["agents", "supervisor"],
    ["agents", "init"],
    ["pods", "unshare"],
  ] as const)("after step %s, at its %s, leaves nothing and says so", async (step, which) => {
    const up = workplace.start(...UP);
    up.stdout?.on("data", (text: Buffer) => {
      if (text.includes(`✓ ${step}`)) {
        void kill(which);
      }
    });
    const { exitCode, stderr } = await outcomeOf(up);
    expect(stderr).toMatch(/^lab: the lab's supervisor ended/);
    expect(exitCode).toBe(70);
    expect(await leftovers(before, workplace)).toEqual([]);
    expect(existsSync(workplace.labs)).toBe(false);
  });

  // The first processes are lab up, unshare, PID 1 and the supervisor; then come etcd, the hosts and their agents.
  it.each([2, 3, 4, 6, 8, 10])(
    "together with lab up, when %d processes are there, leaves nothing that runs",
    async (count) => {
      const up = workplace.start(...UP);
      const said = outcomeOf(up);
      const deadline = deadlineIn(systemClock, WAIT_MS);
      await poll(systemClock, { everyMs: 1, deadline }, () =>
        markedProcesses(workplace).length >= count || up.exitCode !== null ? true : undefined,
      );
      up.kill("SIGKILL");
      await said;
      expect(await leftovers(before, workplace)).toEqual([]);
      const down = await workplace.run("down");
      expect(down.exitCode).toBe(0);
      expect(existsSync(workplace.labs)).toBe(false);
    },
  );

  it.each(["unshare", "init", "supervisor"] as const)(
    "when it is up, at its %s, leaves nothing",
    async (which) => {
      expect((await workplace.run(...UP)).exitCode).toBe(0);
      await kill(which);
      expect(await leftovers(before, workplace)).toEqual([]);
      const ps = await workplace.run("ps");
      expect(ps).toMatchObject({ exitCode: 1, stdout: "" });
      expect(ps.stderr).toMatch(/^lab: no lab "default" is running in .*: "lab up" makes one\n$/);
    },
  );

  it("is replaced by the next of its name as if it had never been", async () => {
    expect((await workplace.run(...UP)).exitCode).toBe(0);
    await kill("supervisor");
    expect((await workplace.run(...UP)).exitCode).toBe(0);
    expect((await workplace.run("down")).exitCode).toBe(0);
    expect(await leftovers(before, workplace)).toEqual([]);
    expect(existsSync(workplace.labs)).toBe(false);
  });
});
