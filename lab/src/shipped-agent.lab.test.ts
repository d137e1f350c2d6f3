import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requires } from "linux/testing";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { Workplace } from "./testing/command-line.ts";

const BUILD = fileURLToPath(new URL("../../shipping/src/main.ts", import.meta.url));

/** Everything else of the lab runs the bundle, which is what hosts get when nobody says otherwise. */
requires("lab")("the agent as it is shipped", () => {
  const workplace = new Workplace();
  let directory: string;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "shipped-"));
    const argv = [BUILD, "--out", directory, "--single-file"];
    const { status, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
    if (status !== 0) throw new Error(`no single file: ${stderr}`);
  });

  afterEach(() => workplace.run("down"));

  afterAll(() => {
    workplace[Symbol.dispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  it("is what hosts run when nobody says otherwise", async () => {
    const up = await workplace.run("up", "--nodes", "1");
    expect(up).toMatchObject({ exitCode: 0, stderr: "" });
    const { stdout } = await workplace.run("ps", "--json");
    const { nodes } = JSON.parse(stdout) as { readonly nodes: readonly { readonly pid: number }[] };
    const commandLine = readFileSync(`/proc/${nodes[0]?.pid}/cmdline`, "utf8").split("\0");
    const bundle = expect.stringMatching(/\.cache\/flanneld\/[0-9a-f]{20}\/flanneld\.cjs$/);
    expect(commandLine).toEqual(expect.arrayContaining([bundle]));
  });

  it("carries pods as a single file, which leaves no file behind", async () => {
    // Alone: beside it the native half would be found as a file.
    mkdirSync(join(directory, "alone"));
    const single = join(directory, "alone/flanneld");
    renameSync(join(directory, "flanneld"), single);
    const up = await workplace.run("up", "--nodes", "2", "--flanneld", single);
    expect(up).toMatchObject({ exitCode: 0, stderr: "" });
    expect(up.stdout).toContain("2/2 pod pairs reach each other");
    expect(readdirSync(workplace.scratch)).toEqual([]);
  });
});
