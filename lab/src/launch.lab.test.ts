import { requires } from "linux/testing";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { LabError } from "./errors.ts";
import { type ExecResult, failedPairs, type Lab } from "./lab.ts";
import { type LaunchedLab, launchLab } from "./launch.ts";
import { STORE_PREFIX } from "./observe/leases.ts";
import { labOptions } from "./options.ts";
import { ROUTE_AGENT, Workplace } from "./testing/command-line.ts";

const SUBNETS = `${STORE_PREFIX}/subnets/`;
/** Niceness and command line of each process of the lab. Source: proc(5), /proc/PID/stat. */
const NICENESS = `for process in /proc/[0-9]*; do
  echo "$(sed 's/.*) //' $process/stat | cut -d ' ' -f 17) $(tr '\\0' ' ' < $process/cmdline)"
done 2>/dev/null`;
const SOON = { timeoutMs: 20_000 };

requires("lab")("a launched lab", () => {
  let workplace: Workplace;
  let launched: LaunchedLab;
  let lab: Lab;

  beforeAll(async () => {
    workplace = new Workplace();
    const wishes = { nodes: 2, backend: "host-gw", flanneld: [ROUTE_AGENT] };
    const options = labOptions(wishes, { flanneld: [], workingDirectory: "/" });
    launched = await launchLab(options, join(workplace.labs, "default"));
    lab = launched.lab;
  });

  afterAll(async () => {
    await launched.down();
    workplace[Symbol.dispose]();
  });

  it("shows the store as the agents left it", async () => {
    const { hosts } = await lab.status({});
    const { entries } = await lab.readStore({ prefix: SUBNETS });
    expect(entries.map(({ key }) => key.slice(SUBNETS.length).replace("-", "/"))).toEqual(
      hosts.flatMap(({ subnets }) => subnets).toSorted(),
    );
    expect(entries.every(({ leaseId }) => leaseId !== undefined)).toBe(true);
    await lab.writeStore({ key: "/x", value: "y" });
    expect((await lab.readStore({ prefix: "/x" })).entries).toMatchObject([
      { key: "/x", value: "y" },
    ]);
    await expect(lab.expireLease({ key: "/x" })).rejects.toThrow("/x has no etcd lease");
    await lab.removeFromStore({ key: "/x" });
    expect((await lab.readStore({ prefix: "/x" })).entries).toEqual([]);
  });

  it("has the processor before its agents, and so has its store", async () => {
    const argv = ["sh", "-c", NICENESS];
    const { stdout } = await lab.exec({ host: "n1", argv });
    const nicenessOf = (program: RegExp): readonly (string | undefined)[] =>
      stdout
        .split("\n")
        .filter((line) => program.test(line))
        .map((line) => line.split(" ")[0]);
    expect(nicenessOf(/supervisor\.cjs/).at(-1)).toBe("-15");
    expect(nicenessOf(/^\S+ etcd /)).toEqual(["-15"]);
    expect(nicenessOf(/--iface=eth0/)).toEqual(["0", "0"]);
    expect(nicenessOf(/for process in/)).toContain("0");
    expect(nicenessOf(/for process in/)).not.toContain("-15");
  });

  it("keeps a host's data path and lease while its agent is killed and started", async () => {
    const before = (await lab.status({})).hosts[0];
    const stop = new AbortController();
    const target = (await lab.status({})).hosts[1]?.podIps[0] ?? "";
    const probe = lab.exec(
      { host: "n1", place: "pod", argv: ["ping", "-i", "0.02", "-W", "1", target] },
      { signal: stop.signal },
    );
    const killed = await lab.killAgent({ host: "n1", signal: "SIGKILL" });
    expect(killed).toMatchObject({ state: "stopped", exit: "SIGKILL" });
    await expect(lab.killAgent({ host: "n1", signal: "SIGKILL" })).rejects.toThrow("does not run");
    expect((await lab.startAgent({ host: "n1" })).state).toBe("starting");
    await expect(lab.startAgent({ host: "n1" })).rejects.toThrow("runs already");
    await lab.waitReady({ hosts: ["n1"], ...SOON });
    stop.abort();
    const { stdout } = await probe;
    expect(stdout).toMatch(/ [1-9]\d* received, 0% packet loss/);
    expect((await lab.status({})).hosts[0]?.subnets).toEqual(before?.subnets);
  });

  it("notices an agent that ends by itself, and one that is only paused", async () => {
    await lab.signalAgent({ host: "n2", signal: "SIGSTOP" });
    expect((await lab.status({})).hosts[1]?.state).toBe("ready");
    await expect(lab.killAgent({ host: "n2", signal: "SIGTERM", timeoutMs: 50 })).rejects.toThrow(
      "lives on 50 ms after SIGTERM",
    );
    const pid = (await lab.status({})).hosts[1]?.agentPid;
    await lab.signalAgent({ host: "n2", signal: "SIGCONT" });
    await lab.exec({
      host: "n1",
      argv: ["sh", "-c", `while kill -0 ${pid} 2>/dev/null; do :; done`],
    });
    await expect(lab.waitReady({ hosts: ["n2"], timeoutMs: 50 })).rejects.toThrow(
      "not ready in time: n2",
    );
    expect((await lab.status({})).hosts[1]).toMatchObject({ state: "exited", exit: "code 0" });
    // The subnet.env of the agent before does not make this one ready.
    await lab.startAgent({ host: "n2" });
    await lab.signalAgent({ host: "n2", signal: "SIGSTOP" });
    await expect(lab.waitReady({ timeoutMs: 200 })).rejects.toThrow("not ready in time: n2");
    await lab.signalAgent({ host: "n2", signal: "SIGCONT" });
    await lab.waitReady(SOON);
  });

  it("lets a lease run out with its host, or keeps it where that is asked for", async () => {
    const keys = async (): Promise<number> =>
      (await lab.readStore({ prefix: SUBNETS })).entries.length;
    await lab.addHost({});
    await lab.addHost({});
    await lab.waitReady(SOON);
    expect(await keys()).toBe(4);
    await lab.removeHost({ host: "n4", keepLease: true });
    expect(await keys()).toBe(4);
    await lab.removeHost({ host: "n3" });
    expect(await keys()).toBe(3);
    await expect(lab.removeHost({ host: "n3" })).rejects.toThrow('no host "n3"; there are n1, n2');
    const returned = await lab.addHost({ host: "n4" });
    await lab.waitReady(SOON);
    const matrix = await lab.waitReachable(SOON);
    expect(failedPairs(matrix)).toEqual([]);
    expect(returned.publicIps).toEqual(["172.31.1.14"]);
    expect(await keys()).toBe(3);
  });

  it("says which pods do not reach each other, and what the agent said last", async () => {
    const [subnet = ""] = (await lab.status({})).hosts[1]?.subnets ?? [];
    const target = ["ip", "route", "delete", subnet];
    expect(await lab.exec({ host: "n1", argv: target })).toMatchObject({ exitCode: 0 });
    // The agent does not look after its routes: no time would bring it back.
    const error: unknown = await lab
      .waitReachable({ timeoutMs: 50 })
      .catch((thrown: unknown) => thrown);
    expect(String(error)).toMatch(/pod pairs do not reach each other$/);
    const evidence: unknown = error instanceof LabError ? error.evidence : [];
    expect(evidence).toContain("n1 → n2 ipv4: 0 of 1 answered");
    const [via = ""] = (await lab.status({})).hosts[1]?.publicIps ?? [];
    const back = ["ip", "route", "add", subnet, "via", via];
    expect(await lab.exec({ host: "n1", argv: back })).toMatchObject({ exitCode: 0 });
    expect(failedPairs(await lab.waitReachable(SOON))).toEqual([]);
  });

  it("lets a pod's kernel forget in a second what it heard of a path's MTU", async () => {
    const [target = ""] = (await lab.status({})).hosts[1]?.podIps ?? [];
    const large = `ping -c 1 -W 1 -M do -s 1400 ${target}`;
    const inPod = (script: string): Promise<ExecResult> =>
      lab.exec({ host: "n1", place: "pod", argv: ["sh", "-c", script], timeoutMs: 10_000 });
    await lab.exec({ host: "n2", argv: ["ip", "link", "set", "cni0", "mtu", "1400"] });
    expect((await inPod(large)).exitCode).toBe(1);
    await lab.exec({ host: "n2", argv: ["ip", "link", "set", "cni0", "mtu", "1500"] });
    expect(await inPod(`until ${large}; do :; done`)).toMatchObject({ exitCode: 0 });
  });

  it("makes the pod anew when the subnet changes", async () => {
    const script = `sed s/SUBNET=.*/SUBNET=10.244.0.1\\\\/24/ /run/flannel/subnet.env > /run/flannel/new &&
      mv /run/flannel/new /run/flannel/subnet.env`;
    await lab.exec({ host: "n2", argv: ["sh", "-ec", script] });
    const { exitCode } = await lab.exec({
      host: "n2",
      argv: [
        "sh",
        "-c",
        "until ip -br addr show cni0 | grep -q 10.244.0.1/24 && ping -qc1 -W1 10.244.0.2; do :; done",
      ],
      timeoutMs: 10_000,
    });
    expect(exitCode).toBe(0);
    expect((await lab.status({})).hosts[1]).toMatchObject({
      podIps: ["10.244.0.2"],
      subnets: ["10.244.0.0/24"],
    });
  });

  it("gives a command's whole result, and ends one that takes too long", async () => {
    const argv = ["sh", "-c", "cat; echo problem >&2; exit 9"];
    expect(await lab.exec({ host: "n1", argv, input: "given" })).toEqual({
      exitCode: 9,
      stdout: "given",
      stderr: "problem\n",
    });
    await expect(lab.exec({ host: "n1", argv: ["sleep", "60"], timeoutMs: 50 })).rejects.toThrow(
      "no end after 50 ms",
    );
    await expect(lab.exec({ host: "n9", argv: ["true"] })).rejects.toThrow('no host "n9"');
  });
});
