import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ADDON_NAME, PROGRAM_NAME, REPOSITORY, bundleAgent } from "./bundle.ts";

const NAMES = [PROGRAM_NAME, ADDON_NAME];
/** A build is half a second; a machine whose cores are busy makes it longer. */
const BUILD_LIMIT_MS = 60_000;

let home: string;
let built: string;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "bundle-"));
  built = join(home, "built");
  await bundleAgent(built);
}, BUILD_LIMIT_MS);

afterAll(() => rmSync(home, { recursive: true, force: true }));

test("two builds are equal, byte by byte", { timeout: BUILD_LIMIT_MS }, async () => {
  const again = join(home, "elsewhere/again");
  await bundleAgent(again);
  for (const name of NAMES)
    expect(readFileSync(join(again, name)).equals(readFileSync(join(built, name))), name).toBe(
      true,
    );
});

test("nothing of the machine that built it is in it", () => {
  for (const name of NAMES)
    expect(readFileSync(join(built, name), "latin1"), name).not.toContain(REPOSITORY);
});

test("it runs where nothing else is, by its own name", () => {
  const alone = join(home, "alone");
  mkdirSync(alone);
  cpSync(built, join(alone, "bin"), { recursive: true });
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, "agent/package.json"), "utf8")) as {
    readonly version: string;
  };
  const program = join(alone, "bin", PROGRAM_NAME);
  const { status, stderr } = spawnSync(process.execPath, [program, "--version"], {
    cwd: alone,
    encoding: "utf8",
    env: {},
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: `${version}\n` });
  const environment = { PATH: `${join(process.execPath, "..")}:/usr/bin:/bin` };
  const byName = execFileSync("sh", ["-c", `"${program}" --version 2>&1`], { env: environment });
  expect(byName.toString()).toBe(`${version}\n`);
  // As in the image.
  symlinkSync(program, join(alone, "flanneld"));
  const byLink = execFileSync("sh", ["-c", `./flanneld --version 2>&1`], {
    cwd: alone,
    env: environment,
  });
  expect(byLink.toString()).toBe(`${version}\n`);
});

test("the native half is beside it", () => {
  const addon = createRequire(import.meta.url)(join(built, ADDON_NAME)) as object;
  expect(Object.keys(addon)).toContain("openSocket");
});
