import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failedPairs, type ExecResult, type Lab } from "../lab.ts";
import { type LaunchedLab, launchLab } from "../launch.ts";
import { type HostDriverName, labOptions } from "../options.ts";
import { hostFiles } from "../run-directory.ts";
import { MAIN, ROUTE_AGENT, Workplace } from "../testing/command-line.ts";

const SOON = { timeoutMs: 20_000 };
/** Starts another process and becomes the agent. */
const TWO_PROCESSES = `sh -c "sleep 86399 & exec ${ROUTE_AGENT.replaceAll("'", "")} \\"\\$@\\"" sh`;

/** What every driver of hosts must do, asked of a lab whose hosts are made by it. */
export function hostDriverContract(driver: HostDriverName): void {
  describe(`hosts of the driver ${driver}`, () => {
    let workplace: Workplace;
    let launched: LaunchedLab | undefined;
    let runDirectory: string;
    let lab: Lab;

    beforeAll(async () => {
      workplace = new Workplace();
      const flanneld = [ROUTE_AGENT, `n2=${TWO_PROCESSES}`];
      const network = { backend: "host-gw", dualStack: true };
      const defaults = { flanneld: [], workingDirectory: dirname(MAIN) };
      const options = labOptions(
        { driver, nodes: 2, timeoutSeconds: 40, ...network, flanneld },
        defaults,
      );
      runDirectory = join(workplace.labs, "default");
      launched = await launchLab(options, runDirectory);
      lab = launched.lab;
    });

    afterAll(async () => {
      await launched?.down();
      workplace[Symbol.dispose]();
    });

    const shell = (host: string, script: string): Promise<ExecResult> =>
      lab.exec({ host, argv: ["sh", "-c", script] });
    const said = async (host: string, script: string): Promise<string> =>
      (await shell(host, script)).stdout.trim();

    it("have a name, a network and a /run of their own, and share process ids with the lab", async () => {
      expect(await said("n1", "hostname")).toBe("n1");
      const namespaces = await Promise.all(
        ["n1", "n2", "etcd"].map((host) => said(host, "readlink /proc/self/ns/net")),
      );
      expect(new Set(namespaces).size).toBe(3);
      await shell("n1", "echo of n1 > /run/mark");
      const { run } = hostFiles(runDirectory, "n1");
      expect(readFileSync(join(run, "mark"), "utf8")).toBe("of n1\n");
      expect((await shell("n2", "ls /run/mark")).exitCode).not.toBe(0);
      expect(await said("n1", "readlink /proc/self/ns/pid")).toBe(
        await said("etcd", "readlink /proc/self/ns/pid"),
      );
    });

    it("have a /var/lib/flannel of their own, and nothing of it is on the machine", async () => {
      const machine = readdirSync("/var/lib");
      await shell("n1", "echo of n1 > /var/lib/flannel/mark");
      const { state } = hostFiles(runDirectory, "n1");
      expect(readFileSync(join(state, "mark"), "utf8")).toBe("of n1\n");
      expect((await shell("n2", "ls /var/lib/flannel/mark")).exitCode).not.toBe(0);
      expect(readdirSync("/var/lib")).toEqual(machine);
      expect(existsSync("/var/lib/flannel/mark")).toBe(false);
    });

    it("have the link, addresses and routes of their place in the topology, and forward", async () => {
      expect(await said("n1", "cat /sys/class/net/eth0/address")).toBe("02:00:ac:1f:01:0b");
      const addresses = await said("n1", "ip -br addr show eth0 scope global");
      expect(addresses).toMatch(/^eth0@\S+ +UP +172\.31\.1\.11\/24 fd00:31:0:1::b\/64$/);
      expect(await said("n1", "ip route show default")).toBe("default via 172.31.1.1 dev eth0");
      expect(await said("n1", "ip -6 route show default")).toMatch(
        /^default via fd00:31:0:1::1 dev eth0 /,
      );
      expect(await said("n1", "ls /sys/class/net | sort | xargs")).toBe("cni0 eth0 lo pod0");
      const forwards = "cd /proc/sys/net; cat ipv4/ip_forward ipv6/conf/all/forwarding";
      expect(await said("n1", forwards)).toBe("1\n1");
      expect(await said("n1", "ping -c1 -W2 172.31.1.12 >&2; ping -c1 -W2 fd00:31:0:1::c")).toMatch(
        / 1 received/,
      );
    });

    it("run an agent in their network, in the caller's directory, and keep what it says", async () => {
      const [host] = (await lab.status({})).hosts;
      const agent = `/proc/${host?.agentPid}`;
      expect(await said("n1", `tr "\\0" " " < ${agent}/cmdline`)).toContain(
        "route-agent.ts --etcd-endpoints=http://172.31.1.2:2379 --iface=eth0",
      );
      expect(await said("n1", `readlink ${agent}/ns/net`)).toBe(
        await said("n1", "readlink /proc/self/ns/net"),
      );
      expect(await said("n1", `readlink ${agent}/cwd`)).toBe(dirname(MAIN));
      // A variable of the caller's shell must not configure an agent, as FLANNELD_IFACE would.
      // What a shell and a container add says nothing of the caller.
      const own = "cut -d= -f1 | grep -vxE '(OLD)?PWD|HOSTNAME' | sort | xargs";
      const names = await said("n1", `tr "\\0" "\\n" < ${agent}/environ | ${own}`);
      expect(names).toBe("HOME NODE_COMPILE_CACHE PATH TWILL_LAB_DIR");
      await lab.killAgent({ host: "n1", signal: "SIGTERM" });
      const { agentLog } = hostFiles(runDirectory, "n1");
      const before = readFileSync(agentLog, "utf8");
      await lab.startAgent({ host: "n1" });
      await lab.waitReady(SOON);
      expect(readFileSync(agentLog, "utf8").startsWith(before)).toBe(true);
      expect(before).toMatch(/\S/);
    });

    it("say how an agent ended, and whether it was told to", async () => {
      expect(await lab.killAgent({ host: "n1", signal: "SIGKILL" })).toMatchObject({
        state: "stopped",
        exit: "SIGKILL",
      });
      await lab.startAgent({ host: "n1" });
      await lab.waitReady(SOON);
      expect(await lab.killAgent({ host: "n1", signal: "SIGTERM" })).toMatchObject({
        state: "stopped",
        exit: "code 0",
      });
      await lab.startAgent({ host: "n1" });
      await lab.waitReady(SOON);
    });

    it("give a signal to all processes of an agent", async () => {
      const helpers = "ps -A -o args= | grep -c '^sleep 86399$'";
      expect(await said("n2", helpers)).toBe("1");
      await lab.killAgent({ host: "n2", signal: "SIGKILL" });
      expect(await said("n1", helpers)).toBe("0");
      await lab.startAgent({ host: "n2" });
      await lab.waitReady(SOON);
    });

    it("go with all that runs in them, and can come again under their name", async () => {
      const [, gone] = (await lab.status({})).hosts;
      await lab.removeHost({ host: "n2" });
      const pids = [gone?.anchorPid, gone?.agentPid, gone?.podAnchorPid];
      expect(pids).not.toContain(undefined);
      for (const pid of pids) {
        expect((await shell("n1", `kill -0 ${pid}`)).exitCode).not.toBe(0);
      }
      const helpers = "ps -A -o args= | grep -c '^sleep 86399$'";
      expect(await said("n1", helpers)).toBe("0");
      await lab.addHost({ host: "n2" });
      await lab.waitReady(SOON);
      expect(failedPairs(await lab.waitReachable(SOON))).toEqual([]);
    });
  });
}
