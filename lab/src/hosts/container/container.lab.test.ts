import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DEFAULT_SEED } from "../../faults/seeds.ts";
import { launchLab } from "../../launch.ts";
import { labOptions } from "../../options.ts";
import { runOne } from "../../run-one.ts";
import { formatResult } from "../../scenario-text.ts";
import { type LabState, readState } from "../../state.ts";
import { deadlineIn, poll, systemClock } from "../../system/clock.ts";
import { loadScenarios } from "../../system/scenario-files.ts";
import { UnixHttp } from "../../system/unix-http.ts";
import { MAIN, outcomeOf, ROUTE_AGENT, Workplace } from "../../testing/command-line.ts";
import {
  leftovers,
  lookAtMachine,
  type Machine,
  markedProcesses,
} from "../../testing/leftovers.ts";

const WAIT_MS = 30_000;
const UP = ["up", "--driver", "container", "--nodes", "2", "--backend", "host-gw"];
const HOST_GW = { driver: "container", backend: "host-gw", flanneld: [ROUTE_AGENT] } as const;
/** Bits of a set of capabilities. Source: linux/capability.h. */
const [NET_ADMIN, SYS_ADMIN] = [1n << 12n, 1n << 21n];

/** Control groups of a lab, which are outside of all namespaces. */
function cgroupsOf(labId: string): readonly string[] {
  const hierarchies = ["/sys/fs/cgroup", ...subdirectoriesOf("/sys/fs/cgroup")];
  return hierarchies.flatMap(subdirectoriesOf).filter((path) => path.endsWith(`-lab-${labId}`));
}

function subdirectoriesOf(path: string): readonly string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(path, name));
}

/** What Docker and containerd like to make where they run. */
function daemonPlaces(): readonly string[] {
  const places = ["/etc/docker", "/opt/containerd", "/var/lib/docker", "/var/lib/containerd"];
  return places.flatMap((path) => (existsSync(path) ? [path, ...readdirSync(path)] : []));
}

requires(
  "lab",
  "docker",
  "vxlan",
)("hosts that are containers", () => {
  let workplace: Workplace;
  let before: Machine;
  let placesBefore: readonly string[];
  /** Of the labs that a test has made. */
  let ids: string[];

  /** What lab.json says, once there is one. */
  function stateNow(): LabState | undefined {
    const state = readState(join(workplace.labs, "default"));
    ids.push(...(state === undefined ? [] : [state.id]));
    return state;
  }
  const cgroups = (): readonly string[] => [...new Set(ids)].flatMap(cgroupsOf);

  beforeEach(() => {
    workplace = new Workplace();
    before = lookAtMachine();
    placesBefore = daemonPlaces();
    ids = [];
  });

  afterEach(async () => {
    await workplace.run("down");
    const left = await leftovers(before, workplace);
    workplace[Symbol.dispose]();
    const news = daemonPlaces().filter((path) => !placesBefore.includes(path));
    const all = [...left, ...cgroups(), ...news];
    if (all.length > 0) {
      throw new Error(`left behind: ${all.join(", ")}`);
    }
  });

  it("have files of their own, see the repository without changing it, and end with their daemon", async () => {
    const options = labOptions({ ...HOST_GW, nodes: 2 }, { flanneld: [], workingDirectory: "/" });
    const { lab } = await launchLab(options, join(workplace.labs, "default"));
    const shell = async (script: string): Promise<string> => {
      const { stdout } = await lab.exec({ host: "n1", argv: ["sh", "-c", script] });
      return stdout.trim();
    };
    expect(await shell("echo own > /etc/mark && cat /etc/mark")).toBe("own");
    expect(existsSync("/etc/mark")).toBe(false);
    expect(await shell(`cat ${MAIN}`)).toBe(readFileSync(MAIN, "utf8").trim());
    expect(await shell(`touch ${MAIN} 2>/dev/null; echo $?`)).toBe("1");
    const [host] = (await lab.status({})).hosts;
    const capabilities = await shell(`grep CapEff /proc/${host?.agentPid}/status`);
    const effective = BigInt(`0x${capabilities.split("\t")[1]}`);
    expect([effective & NET_ADMIN, effective & SYS_ADMIN]).toEqual([NET_ADMIN, 0n]);
    const daemon = new UnixHttp(join(workplace.labs, "default", "docker", "api"), "docker.sock");
    const { text } = await daemon.ask({ method: "GET", path: "/containers/json" });
    daemon.close();
    const names = [...text.matchAll(/"Names":\["\/(\w+)"\]/gu)].map(([, name]) => name);
    expect(new Set(names)).toEqual(new Set(["n1", "n2"]));
    const id = stateNow()?.id;
    expect(await shell(`cat /proc/${host?.agentPid}/cgroup`)).toContain(`/twill-lab-${id}/`);

    // It has not the right to a time namespace, and is not left without an agent for it.
    const fault = { fault: "long-uptime", host: "n1", parameters: { up: "9600h" } };
    await expect(lab.injectFault(fault)).rejects.toMatchObject({
      code: "agent-ended",
      evidence: expect.arrayContaining([expect.stringContaining("Operation not permitted")]),
    });
    expect((await lab.status({})).hosts).toMatchObject([{ state: "ready" }, { state: "ready" }]);

    // What runc writes for a moment would be left in the caller's when it is killed.
    const ofDaemon = 'tr "\\0" "\\n" < /proc/$(echo $(ps -C dockerd -o pid=))/environ';
    expect(await shell(ofDaemon)).toMatch(/^TMPDIR=\/run\/tmp$/mu);
    await shell("kill -9 $(ps -C dockerd -o pid=)");
    const deadline = deadlineIn(systemClock, WAIT_MS);
    const states = await poll(systemClock, { everyMs: 20, deadline }, async () => {
      const { hosts } = await lab.status({});
      return hosts.every(({ state }) => state === "exited") ? hosts : undefined;
    });
    expect(states).toMatchObject([{ exit: "SIGKILL" }, { exit: "SIGKILL" }]);
    await expect(lab.addHost({})).rejects.toThrow(/ENOENT|ECONNREFUSED/);
  });

  it.each(["hosts", "pods"])(
    "F1: after step %s, whose supervisor is killed, leave nothing",
    async (step) => {
      const up = workplace.start(...UP, "--flanneld", ROUTE_AGENT);
      up.stdout?.on("data", (text: Buffer) => {
        if (text.includes(`✓ ${step}`)) {
          const pid = stateNow()?.lab?.supervisor.pid;
          process.kill(pid ?? Number.NaN, "SIGKILL");
        }
      });
      const { exitCode, stderr } = await outcomeOf(up);
      expect(stderr).toMatch(/^lab: the lab's supervisor ended/);
      expect(exitCode).toBe(70);
      expect(await leftovers(before, workplace)).toEqual([]);
      expect(ids.length).toBeGreaterThan(0);
      expect(cgroups()).toEqual([]);
    },
  );

  // The first are lab up, unshare, PID 1 and the supervisor; then Docker's daemon and etcd, containerd, and one for each container.
  it.each([6, 9])(
    "F1: together with lab up, when %d processes are there, leave nothing that runs, and no control group after gc",
    async (count) => {
      const up = workplace.start(...UP, "--flanneld", ROUTE_AGENT);
      const said = outcomeOf(up);
      const deadline = deadlineIn(systemClock, WAIT_MS);
      await poll(systemClock, { everyMs: 1, deadline }, () =>
        markedProcesses(workplace).length >= count || up.exitCode !== null ? true : undefined,
      );
      up.kill("SIGKILL");
      await said;
      expect(stateNow()?.options.driver).toBe("container");
      expect(await leftovers(before, workplace)).toEqual([]);
      expect((await workplace.run("gc")).stdout).toMatch(/^✓ default +removed /);
      expect(cgroups()).toEqual([]);
      expect(existsSync(workplace.labs)).toBe(false);
    },
  );

  it("that were killed when they were up leave control groups, which gc removes", async () => {
    expect(await workplace.run(...UP, "--flanneld", ROUTE_AGENT)).toMatchObject({ exitCode: 0 });
    process.kill(stateNow()?.lab?.supervisor.pid ?? Number.NaN, "SIGKILL");
    expect(await leftovers(before, workplace)).toEqual([]);
    expect(cgroups()).not.toEqual([]);
    expect((await workplace.run("gc")).stdout).toMatch(/^✓ default +removed /);
    expect(cgroups()).toEqual([]);
  });
});

requires(
  "lab",
  "docker",
  "vxlan",
)("scenarios in containers, against this repository's agent", () => {
  it.each([
    ["vxlan-device-comes-back", "vxlan", "dual"],
    ["agent-restart-keeps-subnet", "host-gw", "v4"],
  ])("%s (%s %s)", async (name, backend, family) => {
    const scenario = (await loadScenarios()).find((one) => one.name === name);
    const variant = scenario?.variants.find(
      (one) => one.backend === backend && one.family === family,
    );
    if (scenario === undefined || variant === undefined) {
      throw new Error(`there is no ${name} with ${backend} and ${family}`);
    }
    using place = new Workplace();
    const result = await runOne(scenario, variant, {
      number: 9000,
      driver: "container",
      flanneld: [],
      seed: DEFAULT_SEED,
      leave: "nothing",
      signal: new AbortController().signal,
      watchFolder: join(place.scratch, name),
    });
    expect(result.verdict, formatResult(result)).toBe("pass");
  });
});
