import { expect, test } from "vitest";
import { healthPages, statusPages } from "./agent-view.ts";
import type { View } from "./agent-view.ts";
import { AgentError } from "./core/errors.ts";
import { keptStatePath } from "./core/kept-state.ts";
import { parseCidr, parseIp } from "./core/ip.ts";
import type { Kernel } from "./kernel/kernel.ts";
import {
  type Agent,
  type Node,
  SUBNETS,
  STATE_DIRECTORY,
  SUBNET_FILE,
  World,
  twoNodes,
} from "./memory-world-bench.ts";
import { isCommand, runCommand } from "./operator-commands.ts";
import type { CommandPorts } from "./operator-commands.ts";
import type { Pages } from "./system/health-server.ts";
import { openTrafficManager } from "./traffic-manager/firewalls.ts";
import { MemoryFirewalls } from "./traffic-manager/memory-firewalls.ts";
import type { RuleNews } from "./traffic-manager/rule-events.ts";

function viewOf({ world, node, agent }: { world: World; node: Node; agent: Agent }): View {
  return {
    options: {
      healthIp: "",
      healthPort: 0,
      readyzOnce: false,
      statusSocket: "",
      subnetFile: SUBNET_FILE,
    },
    version: "0.1.0",
    vitals: agent.vitals,
    wasReady: () => true,
    processFigures: () => ({ cpuSeconds: 1.5, residentBytes: 5e7, startSeconds: 1e9 }),
    files: node.files,
    clock: world.clock,
  };
}

async function bodyOf(pages: Pages, page: string): Promise<string> {
  const found = await pages.get(page)?.();
  if (found === undefined) throw new Error(`no page ${page}`);
  return found.body;
}

/** Firewalls that nobody hears of. */
const NO_NEWS: RuleNews = {
  watchRules: () => {
    throw new Error("nobody watches");
  },
  ruleGeneration: () => undefined,
  legacyRules: () => undefined,
};

interface Where {
  readonly world: World;
  readonly node: Node;
  readonly pages?: Pages;
  readonly lockForCleanup?: CommandPorts["lockForCleanup"];
}

/** Runs a command where this agent runs, or none. */
async function run(
  words: string,
  { world, node, pages, lockForCleanup = () => undefined }: Where,
): Promise<{ exitCode: number; out: string }> {
  const [name, ...rest] = words.split(" ");
  if (!isCommand(name)) throw new Error(`${name} is no command`);
  let out = "";
  const kernel: Kernel = node.kernel;
  const ended = runCommand(
    name,
    rest,
    {},
    {
      ask: async (_, page) => (pages === undefined ? undefined : bodyOf(pages, page)),
      openKernel: () =>
        Object.assign(Object.create(kernel) as Kernel, {
          dump: kernel.dump.bind(kernel),
          apply: kernel.apply.bind(kernel),
          routesTo: kernel.routesTo.bind(kernel),
          interfaces: kernel.interfaces.bind(kernel),
          [Symbol.asyncDispose]: () => Promise.resolve(),
        }),
      removeDeadSocket: () => Promise.resolve(false),
      lockForCleanup,
      openFirewalls: () =>
        [true, false].map((usesNftables) => {
          const { firewalls: command = new MemoryFirewalls(), log } = node;
          return openTrafficManager({ ...NO_NEWS, usesNftables, command, log });
        }),
      files: node.files,
      clock: world.clock,
      writeOut: (text) => (out += text),
    },
  );
  const [exitCode] = await Promise.all([ended, world.clock.advance(2_000)]);
  return { exitCode, out };
}

async function firstOfTwo(): Promise<{
  world: World;
  node: Node;
  agent: Agent;
  pages: Pages;
  stop: () => Promise<unknown>;
}> {
  const { world, nodes, agents } = await twoNodes();
  const [node] = nodes;
  const [agent] = agents;
  if (agent === undefined) throw new Error("no agent");
  const pages = statusPages(viewOf({ world, node, agent }));
  return { world, node, agent, pages, stop: () => Promise.all(agents.map((one) => one.stop())) };
}

test("status tells lease, backend, store, kernel, passes and peers", async () => {
  const { stop, ...where } = await firstOfTwo();
  const { exitCode, out } = await run("status", where);
  expect(exitCode).toBe(0);
  expect(out).toMatchInlineSnapshot(`
    "flanneld 0.1.0: ready, running, up for 0 s
    lease     10.42.36.0/24, public IP 192.0.2.1, runs out in 23 h 59 min unless renewed
    backend   vxlan, MTU 1450, network 10.42.0.0/16, device flannel.1
    store     http://192.0.2.1:2379, answers, peers known up to revision 4
    kernel    6 objects wanted, 6 of them found at the last look, 0 open
    passes
      kernel-event  whole  1 s ago: 0 changed, 0 refused, in 0.0 ms
      lease-change  part   1 s ago: 3 changed, 0 refused, in 0.0 ms
      start         whole  2 s ago: 1 changed, 0 refused, in 0.0 ms
    refused   none
    trouble   none
    peers
      10.42.95.0/24 via 192.0.2.2 vxlan
    "
  `);
  const json = await run("status --json", where);
  expect(JSON.parse(json.out)).toMatchObject({
    version: "0.1.0",
    state: { ready: true, peers: [{ backendType: "vxlan" }], store: { revision: 4 } },
  });
  await stop();
});

test("status of an agent whose lease is gone says so, with exit code 1", async () => {
  const { stop, ...where } = await firstOfTwo();
  const { world, node } = where;
  const own = /FLANNEL_SUBNET=([\d.]+)\.1\//.exec(node.files.texts.get(SUBNET_FILE) ?? "")?.[1];
  world.database.setOutOfSpace(true);
  world.database.delete(`${SUBNETS.prefix}${own}.0-24`);
  await world.clock.advance(1_000);
  const { exitCode, out } = await run("status", where);
  expect(exitCode).toBe(1);
  expect(out).toMatch(/^flanneld 0\.1\.0: not ready, running/);
  expect(out).toContain("because the store has the lease of this node no more");
  expect(out).toContain("not known when it runs out");
  await stop();
});

test("check finds nothing where all is well, and names a route that leads packets elsewhere", async () => {
  const { stop, ...where } = await firstOfTwo();
  expect(await run("check", where)).toEqual({
    exitCode: 0,
    out: "the kernel holds what the store says; objects: 6, peers: 1\n",
  });
  const [peer] = where.agent.vitals.state(0).peers;
  const subnet = peer?.subnets[4] ?? "";
  where.node.kernel.addRoute({
    destination: parseCidr(subnet.replace("/24", "/25")),
    link: "eth0",
    gateway: parseIp("192.0.2.77"),
    onlink: false,
    protocol: 4,
  });
  const { exitCode, out } = await run("check", where);
  expect(exitCode).toBe(1);
  expect(out).toContain(
    `misled: packets for ${subnet.replace(".0/24", ".1")} go via 192.0.2.77 dev eth0`,
  );
  const json = await run("check --json", where);
  expect(JSON.parse(json.out)).toMatchObject({ differences: [expect.stringMatching(/^misled/)] });
  await stop();
});

test("what the agent repairs within a second is told, and no difference", async () => {
  const { stop, ...where } = await firstOfTwo();
  where.node.kernel.removeInterface("flannel.1");
  const { exitCode, out } = await run("check", where);
  expect(exitCode).toBe(0);
  expect(out).toMatch(/^meanwhile repaired: missing: link flannel\.1 /m);
  await stop();
});

test("where no agent runs status and check are one line", async () => {
  const { stop, world, node } = await firstOfTwo();
  for (const command of ["status", "check"])
    await expect(run(command, { world, node })).rejects.toThrow(
      "no agent runs here: nobody listens on /run/flannel/flanneld.sock; start one, or name its -status-socket",
    );
  await stop();
});

test("cleanup refuses while an agent runs, also one that does not answer", async () => {
  const { stop, ...where } = await firstOfTwo();
  const before = where.node.kernel.print();
  await expect(run("cleanup", where)).rejects.toThrow(
    "an agent runs here and would put everything back",
  );
  const silent: Pages = new Map([
    [
      "/healthz",
      () => {
        throw new AgentError("agent-silent", "nothing within 5 s");
      },
    ],
  ]);
  await expect(run("cleanup", { ...where, pages: silent })).rejects.toThrow("an agent runs here");
  expect(where.node.kernel.print()).toBe(before);
  await stop();
});

test("cleanup holds the lock of the agent from first to last and takes its file along; a dry run does not", async () => {
  const world = new World();
  const node = world.node();
  const log: string[] = [];
  const lockForCleanup = (subnetFile: string): Disposable & { removeFile(): void } => {
    log.push(`lock ${subnetFile}`);
    return {
      removeFile: () => log.push(`remove ${node.files.texts.size} files left`),
      [Symbol.dispose]: () => log.push("unlock"),
    };
  };
  node.files.texts.set(SUBNET_FILE, "FLANNEL_NETWORK=10.42.0.0/16\n");
  await run("cleanup --dry-run", { world, node, lockForCleanup });
  expect(log).toEqual([]);
  await run("cleanup", { world, node, lockForCleanup });
  expect(log).toEqual([`lock ${SUBNET_FILE}`, "remove 0 files left", "unlock"]);
  const held = (): never => {
    throw new AgentError("already-running", "another flanneld, process 7, already serves it");
  };
  node.files.texts.set(SUBNET_FILE, "FLANNEL_NETWORK=10.42.0.0/16\n");
  await expect(run("cleanup", { world, node, lockForCleanup: held })).rejects.toThrow("process 7");
  expect(node.files.texts.has(SUBNET_FILE)).toBe(true);
});

test("D2: cleanup takes away what is ours and subnet.env, a dry run nothing, a second one finds nothing", async () => {
  const world = new World();
  await world.configure('{"Network":"10.42.0.0/16","Backend":{"Type":"vxlan"}}');
  const node = world.node();
  const firewalls = new MemoryFirewalls();
  firewalls.iptables[4].restore(
    '*nat\n:FLANNEL-POSTRTG - [0:0]\n-A POSTROUTING -j FLANNEL-POSTRTG\n-A FLANNEL-POSTRTG -s 10.99.0.0/16 -d 10.99.0.0/16 -m comment --comment "flanneld masq" -j RETURN\nCOMMIT\n',
  );
  node.firewalls = firewalls;
  const before = node.kernel.print();
  const other = world.node();
  const agents = [node.start(), other.start()];
  await world.clock.advance(2_000);
  await Promise.all(agents.map((agent) => agent.stop()));
  const left = node.kernel.print();
  const where = { world, node };

  const stateFile = `${STATE_DIRECTORY}/state-coreos.com-network-04985c41.json`;
  const dry = await run("cleanup --dry-run", where);
  expect(dry.out).toMatch(/^would remove route 10\.42\.\S+ via \S+ dev flannel\.1 onlink$/m);
  expect(dry.out).toMatch(/^would remove link flannel\.1 /m);
  expect(dry.out).toContain("would remove traffic rules about 10.42.0.0/16, where there are any\n");
  expect(dry.out).toContain(`would remove file ${SUBNET_FILE}\n`);
  expect(dry.out).toContain(`would remove file ${stateFile}\n`);
  expect(node.files.texts.has(stateFile)).toBe(true);
  expect(firewalls.iptables[4].save()).toContain("10.42.0.0/16");
  expect([node.kernel.print(), node.files.texts.has(SUBNET_FILE)]).toEqual([left, true]);

  const done = await run("cleanup", where);
  expect(done).toEqual({
    exitCode: 0,
    out: dry.out
      .replaceAll("would remove", "removed")
      .replace("rules about 10.42.0.0/16, where there are any", "rules of IPv4"),
  });
  const rules = firewalls.iptables[4].save();
  expect(rules).not.toContain("10.42.");
  expect(rules).toMatch(/^-A FLANNEL-POSTRTG -s 10\.99\.0\.0\/16 /m);
  expect(rules).toContain("-A POSTROUTING ");
  expect([node.kernel.print(), [...node.files.texts.keys()]]).toEqual([before, []]);
  expect(await run("cleanup", where)).toEqual({ exitCode: 0, out: "nothing of ours is here\n" });
});

test("cleanup without a subnet file asks for the network before it removes anything", async () => {
  const world = new World();
  await world.configure('{"Network":"10.42.0.0/16","Backend":{"Type":"vxlan"}}');
  const node = world.node();
  const agent = node.start();
  await world.clock.advance(2_000);
  await agent.stop();
  await node.files.remove(SUBNET_FILE);
  const where = { world, node };
  // As after a boot: the state file knows it too.
  expect((await run("cleanup --dry-run", where)).out).toMatch(/^would remove link flannel\.1 /);
  const other = await run("cleanup --dry-run -state-dir=none -network=10.99.0.0/16", where);
  expect(other.out).toBe("would remove traffic rules about 10.99.0.0/16, where there are any\n");
  node.files.texts.set(keptStatePath(STATE_DIRECTORY, "/coreos.com/network"), "cut");
  await expect(run("cleanup", where)).rejects.toThrow(
    /no pod network is known, since \S+ is not there; to have link flannel\.1 .* removed, name it/,
  );
  expect(await run("cleanup -network 10.99.0.0/16", where)).toEqual({
    exitCode: 0,
    out: "removed file /var/lib/flannel/state-coreos.com-network-04985c41.json\n",
  });
  expect((await run("cleanup -network 10.42.0.0/16", where)).out).toMatch(
    /^removed link flannel\.1 /,
  );
});

test("bad words are refused, help is none", async () => {
  const { world, node } = { world: new World(), node: new World().node() };
  const where = { world, node };
  await expect(run("status extra", where)).rejects.toThrow("not understood: extra");
  await expect(run("cleanup -network 10.42", where)).rejects.toThrow(
    'invalid value "10.42" for flag -network: expected a prefix like 10.244.0.0/16',
  );
  expect((await run("check --help", where)).out).toMatch(/^Usage: flanneld status\|check\|cleanup/);
});

test("the metrics of a node are those of its kernel, its lease and its store", async () => {
  const { stop, world, node, agent } = await firstOfTwo();
  node.files.texts.set("/proc/net/dev", "flannel.1: 100 1 0 0 0 0 0 0 200 2 0 0 0 0 0 0\n");
  const body = await bodyOf(healthPages(viewOf({ world, node, agent })), "/metrics");
  const lines = body.split("\n").filter((line) => !line.startsWith("#"));
  expect(lines.filter((line) => !/_bucket|_sum|_seconds_max|_left/.test(line)).join("\n"))
    .toMatchInlineSnapshot(`
      "flannel_build_info{version="0.1.0"} 1
      flannel_ready 1
      flannel_hindrance{reason="starting"} 0
      flannel_hindrance{reason="lease missing"} 0
      flannel_hindrance{reason="lease unconfirmed"} 0
      flannel_hindrance{reason="address taken"} 0
      flannel_hindrance{reason="not masquerading"} 0
      flannel_hindrance{reason="kernel behind"} 0
      flannel_hindrance{reason="stopping"} 0
      flannel_peers 1
      flannel_complaints 0
      flannel_mtu_bytes 1450
      flannel_backend_receive_bytes_total{device="flannel.1"} 100
      flannel_backend_transmit_bytes_total{device="flannel.1"} 200
      flannel_lease_held 1
      flannel_store_outage_seconds 0
      flannel_store_revision 4
      flannel_store_watch_restarts_total{how="resumed"} 0
      flannel_store_watch_restarts_total{how="relisted"} 0
      flannel_store_lease_renewals_total 0
      flannel_store_request_duration_seconds_count{verb="range"} 6
      flannel_store_request_duration_seconds_count{verb="txn"} 1
      flannel_store_request_duration_seconds_count{verb="grant"} 1
      flannel_store_request_duration_seconds_count{verb="revoke"} 0
      flannel_store_request_duration_seconds_count{verb="time-to-live"} 0
      flannel_store_request_failures_total{verb="range"} 0
      flannel_store_request_failures_total{verb="txn"} 0
      flannel_store_request_failures_total{verb="grant"} 0
      flannel_store_request_failures_total{verb="revoke"} 0
      flannel_store_request_failures_total{verb="time-to-live"} 0
      flannel_reconcile_objects_wanted 6
      flannel_reconcile_objects_present 6
      flannel_reconcile_objects_open 0
      flannel_reconcile_objects_changed_total{cause="start"} 3
      flannel_reconcile_objects_changed_total{cause="lease-change"} 3
      flannel_reconcile_objects_changed_total{cause="kernel-event"} 0
      flannel_reconcile_objects_changed_total{cause="sweep"} 0
      flannel_reconcile_objects_changed_total{cause="retry"} 0
      flannel_reconcile_objects_refused_total 0
      flannel_reconcile_peers_planned_total 1
      flannel_reconcile_dumps_total 3
      flannel_reconcile_passes_total{cause="start",kind="whole"} 2
      flannel_reconcile_passes_total{cause="start",kind="part"} 0
      flannel_reconcile_passes_total{cause="lease-change",kind="whole"} 0
      flannel_reconcile_passes_total{cause="lease-change",kind="part"} 1
      flannel_reconcile_passes_total{cause="kernel-event",kind="whole"} 1
      flannel_reconcile_passes_total{cause="kernel-event",kind="part"} 0
      flannel_reconcile_passes_total{cause="sweep",kind="whole"} 0
      flannel_reconcile_passes_total{cause="sweep",kind="part"} 0
      flannel_reconcile_passes_total{cause="retry",kind="whole"} 0
      flannel_reconcile_passes_total{cause="retry",kind="part"} 0
      flannel_reconcile_pass_duration_seconds_count{kind="whole"} 3
      flannel_reconcile_pass_duration_seconds_count{kind="part"} 1
      process_cpu_seconds_total 1.5
      process_resident_memory_bytes 50000000
      process_start_time_seconds 1000000000
      "
    `);
  await stop();
});
