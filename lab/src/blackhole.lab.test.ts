/** The route that drops what is sent to nobody in a node's own subnet, on real hosts with real pods. */
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ExecResult, Lab } from "./lab.ts";
import { type LaunchedLab, launchLab } from "./launch.ts";
import { formatNetworkConfig } from "./network-config.ts";
import { labOptions } from "./options.ts";
import { defaultFlanneld } from "./own-agent.ts";
import { labsDirectory, ownProcessId, workingDirectory } from "./system/machine.ts";

const ETCD = "--etcd-endpoints=http://172.31.1.2:2379";
/** A sweep comes every ten seconds; an event is looked into after a tenth of one. */
const REPAIRED_WITHIN_MS = 5_000;
/** In both families; IPv6 names a device, lo. */
const BLACKHOLES = "ip -4 route show type blackhole; ip -6 route show type blackhole";
/** Runs an agent until no blackhole is left, and stops it. */
const UNTIL_NONE = `"$@" 2>/dev/null & pid=$!
while [ -n "$(${BLACKHOLES})" ]; do sleep 0.05; done
kill -TERM $pid; wait $pid`;

requires("lab", "vxlan")("agents with -ip-blackhole-route", () => {
  let launched: LaunchedLab;
  let lab: Lab;

  beforeAll(async () => {
    const name = `blackhole-${ownProcessId()}`;
    const networkConfigText = formatNetworkConfig({ dualStack: true });
    const flanneld = [...defaultFlanneld(), "--ip-blackhole-route"];
    launched = await launchLab(
      labOptions(
        { name, nodes: 2, networkConfigText },
        { flanneld, workingDirectory: workingDirectory() },
      ),
      join(labsDirectory(), name),
    );
    ({ lab } = launched);
  });
  afterAll(() => launched.down());

  async function shell(script: string, ...words: readonly string[]): Promise<ExecResult> {
    const argv = ["sh", "-c", script, "sh", ...words];
    return lab.exec({ host: "n1", argv, timeoutMs: 20_000 });
  }

  async function blackholes(): Promise<readonly string[]> {
    return (await shell(BLACKHOLES)).stdout.trim().split("\n");
  }

  test("have one for each subnet, behind the bridge's route, and pods reach each other", async () => {
    const { stdout } = await shell(
      "sed -n 's/^FLANNEL_\\(IPV6_\\)*SUBNET=//p' /run/flannel/subnet.env",
    );
    const [v4 = "", v6 = ""] = stdout.trim().split("\n");
    expect(await blackholes()).toEqual([
      expect.stringContaining(`blackhole ${v4.replace(".1/", ".0/")} proto 116 metric 4294967295`),
      expect.stringMatching(
        new RegExp(`^blackhole ${v6.replace("::1/", "::/")} .*proto 116 metric 4294967295`),
      ),
    ]);
    const nobody = v4.replace(/\.1\/\d+$/, ".250");
    expect((await shell(`ip route get ${nobody}`)).stdout).toContain("dev cni0");
    const { pairs } = await lab.ping({});
    expect(pairs.filter(({ sent, received }) => received < sent)).toEqual([]);
  });

  test("D11: put it back when somebody deletes it, long before the next sweep", async () => {
    const before = await blackholes();
    await shell("ip -4 route flush type blackhole; ip -6 route flush type blackhole");
    const beganMs = performance.now();
    await shell(`until [ $({ ${BLACKHOLES}; } | wc -l) = 2 ]; do sleep 0.02; done`);
    expect(performance.now() - beganMs).toBeLessThan(REPAIRED_WITHIN_MS);
    expect(await blackholes()).toEqual(before);
  });

  test("leave it when they stop; one that is not asked for it takes it away", async () => {
    const before = await blackholes();
    await lab.killAgent({ host: "n1", signal: "SIGTERM" });
    expect(await blackholes()).toEqual(before);
    const agent = [...defaultFlanneld(), ETCD];
    expect((await shell(UNTIL_NONE, ...agent)).exitCode).toBe(0);
    expect(await blackholes()).toEqual([""]);
  });
});
