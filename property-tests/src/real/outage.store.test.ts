import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestAuthority } from "agent/subnet-manager/etcd/etcd3-test-certificates.ts";
import { until } from "agent/subnet-manager/etcd/etcd3-test-server.ts";
import { expect, test } from "vitest";
import { requires } from "linux/testing";

const AGENT = join(import.meta.dirname, "../../../agent/src/main.ts");
/** Kernel clock ticks of /proc/PID/stat. Source: proc(5), sysconf(_SC_CLK_TCK), 100 on Linux. */
const TICK_MS = 10;

requires("netns")("an agent without its store", () => {
  test("E5: takes little time and few lines, and no secret shows", async () => {
    await using authority = await TestAuthority.open();
    const pair = await authority.sign("node");
    const directory = await mkdtemp(join(tmpdir(), "agent-"));
    const words = [
      process.execPath,
      AGENT,
      "--etcd-endpoints=https://127.0.0.1:1,https://127.0.0.1:2",
      `--etcd-keyfile=${pair.key}`,
      `--etcd-certfile=${pair.certificate}`,
      `--etcd-cafile=${authority.certificate}`,
      "--etcd-username=node",
      `--subnet-file=${join(directory, "subnet.env")}`,
      "-v=1",
    ];
    const agent = spawn(
      "unshare",
      ["-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...words],
      {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, FLANNELD_ETCD_PASSWORD: "canary-password" },
      },
    );
    try {
      let said = "";
      agent.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
      agent.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
      await until(10_000, "the first complaint", () => said.includes("trying again"));
      const before = await cpuMs(agent.pid);
      const linesBefore = said.split("\n").length;
      const sinceMs = performance.now();
      await until(15_000, "ten seconds to pass", () => performance.now() - sinceMs > 10_000);
      const share = ((await cpuMs(agent.pid)) - before) / (performance.now() - sinceMs);
      expect(share).toBeLessThan(0.05);
      expect(said.split("\n").length - linesBefore).toBeLessThanOrEqual(1);
      expect(said).not.toContain("canary");
      expect(said).not.toContain(await readFile(pair.key, "utf8"));
    } finally {
      const ended = once(agent, "exit");
      agent.kill("SIGTERM");
      await ended;
      await rm(directory, { recursive: true });
    }
  });
});

/** User and system time a process has taken. Source: proc(5), stat fields 14 and 15. */
async function cpuMs(pid: number | undefined): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
