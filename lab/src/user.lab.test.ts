import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { builtPath } from "linux/addon";
import { requires } from "linux/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isRoot } from "./system/machine.ts";

const NOBODY = 65_534;
const SOURCES = dirname(fileURLToPath(import.meta.url));
const LINUX = join(SOURCES, "../../linux");
const HEADERS = "node-api-headers";

/** Where we are not root every other test is this one. Where we are, the tree is copied to where nobody may read it. */
requires("lab")("a lab of an ordinary user", () => {
  let home: string;

  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), "lab-user-"));
    chmodSync(home, 0o777);
    cpSync(SOURCES, join(home, "lab/src"), { recursive: true });
    cpSync(join(SOURCES, "../package.json"), join(home, "lab/package.json"));
    // What the lab asks the kernel by, compiled: who may not write it could not compile it.
    builtPath();
    for (const part of ["addon", "build", "package.json", "src"]) {
      cpSync(join(LINUX, part), join(home, "linux", part), { recursive: true });
    }
    mkdirSync(join(home, "node_modules"));
    symlinkSync("../linux", join(home, "node_modules/linux"));
    const headers = createRequire(join(LINUX, "package.json")).resolve(`${HEADERS}/package.json`);
    cpSync(dirname(headers), join(home, "node_modules", HEADERS), { recursive: true });
    cpSync(process.execPath, join(home, "node"), { dereference: true });
    mkdirSync(join(home, "labs"));
    chmodSync(join(home, "labs"), 0o777);
  });

  afterAll(() => {
    rmSync(home, { recursive: true });
  });

  function lab(...argv: readonly string[]): {
    status: number | null;
    stdout: string;
    stderr: string;
  } {
    const command = [join(home, "node"), join(home, "lab/src/main.mjs"), ...argv];
    const prefix = isRoot()
      ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"]
      : ["env"];
    const [program = "", ...rest] = [...prefix, ...command];
    const environment = { ...process.env, HOME: home, TWILL_LAB_DIR: join(home, "labs/in") };
    return spawnSync(program, rest, { cwd: home, encoding: "utf8", env: environment });
  }

  it("comes up in a user namespace, where the user is root inside and nobody outside", () => {
    const agent = `'${join(home, "node")}' lab/src/fixtures/route-agent.ts`;
    const up = lab("up", "--nodes", "2", "--backend", "host-gw", "--flanneld", agent);
    expect(up).toMatchObject({ status: 0, stderr: "" });
    expect(up.stdout).toContain("in a user namespace");
    expect(lab("ping").stdout).toContain("2/2 pod pairs reach each other");
    const inside = lab("exec", "n1", "--", "sh", "-c", "id -u; hostname; ip -br -4 addr show eth0");
    expect(inside.stdout).toMatch(/^0\nn1\neth0@\S+ +UP +172\.31\.1\.11\/24/);
    expect(lab("node", "restart", "n1", "--signal", "KILL").stdout).toBe("✓ n1 ready\n");
    expect(lab("down")).toMatchObject({ status: 0, stderr: "" });
    expect(lab("up", "--driver", "container")).toMatchObject({
      status: 1,
      stderr: "lab: hosts that are containers need root: so does dockerd\n",
    });
  });
});
