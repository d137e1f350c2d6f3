import { requires } from "linux/testing";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchLab } from "./launch.ts";
import type { Lab } from "./lab.ts";
import { leaseDetails } from "./observe/lease-details.ts";
import { STORE_PREFIX } from "./observe/leases.ts";
import { labOptions } from "./options.ts";
import { formatJUnit } from "./report/junit.ts";
import { formatPage } from "./report/page/page.ts";
import { EventLogWriter, readStories } from "./report/run-store.ts";
import type { Story } from "./report/story.ts";
import { formatVerdictLine } from "./report/terminal-summary.ts";
import { runScenario } from "./scenario-run.ts";
import type { Scenario, Variant } from "./scenario.ts";
import { readState } from "./state.ts";
import { deadlineIn, poll, systemClock } from "./system/clock.ts";
import { defaultFlanneld } from "./own-agent.ts";
import { describeMachine, workingDirectory } from "./system/machine.ts";
import { ROUTE_AGENT } from "./testing/command-line.ts";
import { type ReadPacket, readPcapng } from "./testing/pcapng.ts";
import { isPacketFile } from "./watch/pcapng.ts";

/** Longer than what the probes of a short run can make up for, even at their higher pace. */
const AWAY_MS = 5000;

const SCENARIO: Scenario = {
  name: "watched",
  why: "its own steps see nothing of what is wrong",
  invariants: ["A1", "E1"],
  nodes: 3,
  variants: [],
  steps: [{ act: "remember-subnets" }],
};

const SOON_MS = 10_000;
/** Source: flannel, Documentation/backends.md, Port of vxlan. */
const VXLAN_PORT = 8472;
/** As /proc/net/udp writes it. Source: proc(5). */
const PROBE_PORT = `:${(41_923).toString(16).toUpperCase()} `;

interface Operator {
  readonly lab: Lab;
  /** Of the process that holds the lab. */
  readonly supervisorPid: number;
}

/** What somebody does behind the agents' backs, when the lab is up and before the scenario's first step. */
type Deed = (operator: Operator) => Promise<void>;

requires("lab", "vxlan")("a run is judged by its witnesses", () => {
  let root: string;
  let count = 0;

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "lab-watched-"));
  });
  afterAll(() => {
    rmSync(root, { recursive: true });
  });

  async function play(
    variant: Variant,
    flanneld: string | undefined,
    deed: Deed,
  ): Promise<{ readonly story: Story; readonly folder: string }> {
    count += 1;
    const folder = join(root, `run-${count}`);
    const log = new EventLogWriter(folder);
    const name = `watched-${process.pid}-${count}`;
    const defaults = { flanneld: defaultFlanneld(), workingDirectory: workingDirectory() };
    await runScenario(SCENARIO, variant, {
      clock: systemClock,
      facts: { run: name, agent: flanneld ?? "ours", seed: 1, machine: describeMachine() },
      watchFolder: folder,
      append: (event) => {
        log.append(event);
      },
      openLab: async (wishes) => {
        const chosen = {
          ...wishes,
          name,
          ...(flanneld === undefined ? {} : { flanneld: [flanneld] }),
        };
        const launched = await launchLab(labOptions(chosen, defaults), join(root, name));
        const supervisorPid = readState(launched.runDirectory)?.lab?.supervisor.pid ?? 0;
        await deed({ lab: launched.lab, supervisorPid });
        return { lab: launched.lab, [Symbol.asyncDispose]: () => launched.down() };
      },
    });
    const [story] = readStories(log.file);
    if (story === undefined) {
      throw new Error("the run has no log");
    }
    return { story, folder };
  }

  it("D7, D1: fails for a route loop that no step looks at, and points to the evidence", async () => {
    const { story, folder } = await play(
      { backend: "host-gw", family: "v4", segments: 1 },
      ROUTE_AGENT,
      async ({ lab }) => {
        const target = await subnetOf(lab, "n3");
        await routeVia(lab, { host: "n1", target, peer: "n2" });
        await routeVia(lab, { host: "n2", target, peer: "n1" });
      },
    );
    expect(story.judgement.verdict, story.judgement.reasons.join("\n")).toBe("fail");
    const loops = story.violations.filter(({ id }) => id === "D7");
    expect(new Set(loops.map(({ host }) => host))).toEqual(new Set(["n1", "n2"]));
    expect(loops[0]?.detail).toMatch(/is a loop$/);
    expect(story.violations.map(({ id }) => id)).toContain("D1");
    const evidence = loops[0]?.evidence ?? [];
    expect(evidence.length).toBeGreaterThan(3);
    expect(evidence.every((file) => existsSync(join(folder, file)))).toBe(true);
    const dump = evidence.find((file) => file.endsWith("n1.kernel.json")) ?? "";
    expect(readFileSync(join(folder, dump), "utf8")).toContain('"gateway": "172.31.1.12"');
    expect(formatVerdictLine(story, { colour: false })).toMatch(/✗ fail watched .*D7/s);
    expect(formatJUnit([story])).toMatch(/: D7"[^]*evidence\/\d+-D7/);
  });

  it("is unknown when its probes were not sent, and no packet is taken for lost", async () => {
    const { story } = await play(
      { backend: "host-gw", family: "v4", segments: 1 },
      ROUTE_AGENT,
      async ({ lab, supervisorPid }) => {
        await probed(lab);
        process.kill(supervisorPid, "SIGSTOP");
        // The length of the fault itself: nothing is waited for.
        await systemClock.sleep(AWAY_MS);
        process.kill(supervisorPid, "SIGCONT");
      },
    );
    expect(story.violations).toEqual([]);
    expect(story.judgement.verdict, story.judgement.reasons.join("\n")).toBe("unknown");
    expect(story.judgement.reasons[0]).toMatch(/^n\d → n\d ipv4: \d+ of \d+ packets$/);
  });

  it("D1: fails for an FDB entry that its agent cannot put right", async () => {
    let mac = "";
    const { story, folder } = await play(
      { backend: "vxlan", family: "v4", segments: 1 },
      undefined,
      async ({ lab }: Operator) => {
        const { hosts } = await lab.status({});
        const [elsewhere = ""] = hosts.find(({ name }) => name === "n3")?.publicIps ?? [];
        const [address = ""] = hosts.find(({ name }) => name === "n2")?.publicIps ?? [];
        const { entries } = await lab.readStore({ prefix: `${STORE_PREFIX}/subnets/` });
        const lease = leaseDetails(entries).find(({ publicIps }) => publicIps.ipv4 === address);
        mac = lease?.vtepMacs.ipv4 ?? "";
        await lab.signalAgent({ host: "n1", signal: "SIGSTOP" });
        await done(
          lab,
          "n1",
          `bridge fdb replace ${mac} dev flannel.1 dst ${elsewhere} self permanent`,
        );
        // Probes are a chain of pods, and this pair need not be in it.
        const pod = (lease?.subnets.ipv4 ?? "").replace(/0\/24$/, "2");
        const ping = ["ping", "-c2", "-i0.2", "-W1", pod];
        const { stdout } = await lab.exec({ host: "n1", place: "pod", argv: ping });
        expect(stdout).toContain("2 packets transmitted, 0 received");
      },
    );
    expect(story.judgement.verdict, story.judgement.reasons.join("\n")).toBe("fail");
    const [violation] = story.violations.filter(({ id }) => id === "D1");
    expect(violation?.host).toBe("n1");
    expect(violation?.detail).toMatch(
      /missing fdb .* dst 172\.31\.1\.12; stale fdb .* dst 172\.31\.1\.13/,
    );
    const strays = straysIn(join(folder, packetFile(story, "D1")), mac);
    expect(strays.length).toBeGreaterThan(0);
    // They left n1, and came to n3 whose VTEP they are not for.
    expect(new Set(strays.map(({ port, inbound }) => `${port} ${inbound ? "in" : "out"}`))).toEqual(
      new Set(["n1 in", "n3 out"]),
    );
    const violatedAt = Date.parse(story.started?.wallClock ?? "") + (violation?.violatedAt ?? 0);
    expect(strays.some(({ atMs }) => Math.abs(atMs - violatedAt) < SOON_MS)).toBe(true);
    expect(formatPage([story], folder)).toContain('<a href="evidence/');
  });
});

/** Until every pod has the socket that probes go to: what was not begun cannot be missed. */
async function probed(lab: Lab): Promise<void> {
  const { hosts } = await lab.status({});
  const deadline = deadlineIn(systemClock, SOON_MS);
  const found = await poll(systemClock, { everyMs: 20, deadline }, async () => {
    const sockets = await Promise.all(
      hosts.map(({ name: host }) =>
        lab.exec({ host, place: "pod", argv: ["cat", "/proc/net/udp"] }),
      ),
    );
    return sockets.every(({ stdout }) => stdout.includes(PROBE_PORT)) || undefined;
  });
  expect(found, "the pods are not probed").toBe(true);
}

async function subnetOf(lab: Lab, host: string): Promise<string> {
  const { hosts } = await lab.status({});
  return hosts.find(({ name }) => name === host)?.subnets[0] ?? "";
}

async function routeVia(
  lab: Lab,
  { host, target, peer }: { readonly host: string; readonly target: string; readonly peer: string },
): Promise<void> {
  const { hosts } = await lab.status({});
  const via = hosts.find(({ name }) => name === peer)?.publicIps[0] ?? "";
  await done(lab, host, `ip route replace ${target} via ${via}`);
}

/** Of the first violation of an invariant that has one. */
function packetFile({ violations }: Story, invariant: string): string {
  const [file = ""] = violations
    .filter(({ id }) => id === invariant)
    .flatMap(({ evidence }) => evidence.filter(isPacketFile));
  return file;
}

/** VXLAN packets to n3's public address whose inner frame is for a MAC that n3 has not. */
function straysIn(file: string, mac: string): readonly ReadPacket[] {
  const wanted = mac.replaceAll(":", "");
  return readPcapng(readFileSync(file)).packets.filter(({ bytes }) => {
    // Ethernet 14, IPv4 20, UDP 8, VXLAN 8, and then the inner frame's destination. Source: RFC 7348 section 5.
    const [destination, port, inner] = [
      bytes.subarray(30, 34),
      bytes.subarray(36, 38),
      14 + 20 + 8 + 8,
    ];
    return (
      bytes.length > inner + 6 &&
      [...destination].join(".") === "172.31.1.13" &&
      port.readUInt16BE() === VXLAN_PORT &&
      bytes.subarray(inner, inner + 6).toString("hex") === wanted
    );
  });
}

async function done(lab: Lab, host: string, command: string): Promise<void> {
  const { exitCode, stderr } = await lab.exec({ host, argv: command.split(" ") });
  expect(exitCode, stderr).toBe(0);
}
