import { requires } from "linux/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { deadlineIn, poll, systemClock } from "../system/clock.ts";
import { outcomeOf, ROUTE_AGENT, Workplace } from "../testing/command-line.ts";
import { leftovers, lookAtMachine, type Machine } from "../testing/leftovers.ts";
import { whereFiltered } from "./fault-cases.ts";

const SOON_MS = 20_000;

requires("lab")("faults, from the command line", () => {
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

  whereFiltered("with a packet filter", () => {
    it("F1: are injected, listed, healed, run out, and leave nothing behind, even with all of them on", async () => {
      await workplace.run("up", "--nodes", "2", "--backend", "host-gw", "--flanneld", ROUTE_AGENT);
      expect((await workplace.run("fault", "ls")).stdout).toBe("no fault is on\n");
      const cut = await workplace.run("fault", "partition", "n1", "--from", "peers");
      expect(cut.stdout).toMatch(
        /^✓ f1 +partition n1 from=peers direction=both +until healed +a ping/,
      );
      expect((await workplace.run("ping")).exitCode).toBe(1);
      expect((await workplace.run("heal", "f1")).stdout).toMatch(
        /^✓ f1 +partition .* answers a ping/,
      );
      expect((await workplace.run("ping")).exitCode).toBe(0);
      expect((await workplace.run("heal")).stdout).toBe("no fault was on\n");

      const pretended = await workplace.run("fault", "pause-agent", "n1", "--pretend");
      expect(pretended).toMatchObject({ exitCode: 2 });
      expect(pretended.stdout).toMatch(/^\? f2 .*nobody saw its effect\n$/);

      const brief = await workplace.run("fault", "pause-agent", "n2", "--for", "300ms", "--json");
      expect(JSON.parse(brief.stdout)).toMatchObject({ id: "f3", host: "n2" });
      const deadline = deadlineIn(systemClock, SOON_MS);
      const over = await poll(systemClock, { everyMs: 50, deadline }, async () =>
        (await workplace.run("fault", "ls")).stdout === "no fault is on\n" ? true : undefined,
      );
      expect(over).toBe(true);

      const absent = await workplace.run("fault", "pause-agent", "n7");
      expect(absent).toMatchObject({
        exitCode: 1,
        stderr: 'lab: there is no host "n7"; there are n1, n2\n',
      });
      for (const words of [
        "loss n1 --percent 50",
        "foreign-device n1",
        "pause-agent n1",
        "pause-store",
      ]) {
        expect((await workplace.run("fault", ...words.split(" "))).exitCode).toBe(0);
      }
      expect((await workplace.run("fault", "ls", "--json")).stdout).toContain(
        '"foreign-device n1"',
      );
    });

    it("end with a lab whose supervisor dies while they are on", async () => {
      await workplace.run("up", "--nodes", "2", "--backend", "host-gw", "--flanneld", ROUTE_AGENT);
      await workplace.run("fault", "partition", "n1");
      await workplace.run("fault", "pause-agent", "n2");
      const { supervisorPid } = JSON.parse((await workplace.run("ps", "--json")).stdout) as {
        supervisorPid: number;
      };
      process.kill(supervisorPid, "SIGKILL");
      expect(await leftovers(before, workplace)).toEqual([]);
      const after = await outcomeOf(workplace.start("fault", "ls"));
      expect(after.stderr).toMatch(/^lab: no lab "default" is running/);
    });
  });
});
