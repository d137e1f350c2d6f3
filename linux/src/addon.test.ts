import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const PACKAGE_DIRECTORY = dirname(import.meta.dirname);

/** A copy of the package in which nothing is compiled yet. */
let fresh = "";

beforeEach(() => {
  fresh = mkdtempSync(join(tmpdir(), "linux-addon-"));
  for (const part of ["addon", "src/addon.ts", "package.json"]) {
    cpSync(join(PACKAGE_DIRECTORY, part), join(fresh, part), { recursive: true });
  }
  symlinkSync(join(PACKAGE_DIRECTORY, "node_modules"), join(fresh, "node_modules"));
});

afterEach(() => {
  rmSync(fresh, { recursive: true });
});

const LOAD = `
  const { loadAddon } = await import(process.argv[1]);
  try {
    process.stdout.write(Object.keys(loadAddon()).join(" "));
  } catch (error) {
    process.stdout.write(error.name + ": " + error.message);
  }
`;

function loadArguments(): readonly string[] {
  return ["--input-type=module", "--eval", LOAD, join(fresh, "src/addon.ts")];
}

const FUNCTIONS =
  "openSocket closeSocket socketPort exchange exchangeSync openReader takeEvents closeReader createNamespace nameNamespace unnameNamespace openPacketRing advancePacketRing readPacketRing closePacketRing openDelayLine countDelayLine closeDelayLine sendDatagram lockFile readLegacyTable openUdpSocket openPingSocket";

test("processes that use the addon first at the same time all get it, compiled whole", async () => {
  const loads = Array.from({ length: 6 }, async () => {
    const child = spawn(process.execPath, loadArguments(), {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    await once(child, "close");
    return output;
  });
  expect(await Promise.all(loads)).toEqual(Array.from({ length: 6 }, () => FUNCTIONS));
  const built = readdirSync(join(fresh, "build"));
  expect(built).toHaveLength(1);
  expect(built[0]).toMatch(/^linux-\w+-[0-9a-f]{16}\.node$/);
}, 30_000);

test("without a compiler the error names the remedy, and nothing half-made is left", () => {
  const { stdout } = spawnSync(process.execPath, loadArguments(), {
    encoding: "utf8",
    env: { PATH: join(fresh, "no-such-directory") },
  });
  expect(stdout.replaceAll(fresh, "")).toBe(
    "AddonError: cannot compile /addon: spawnSync cc ENOENT; install a C compiler (Debian: apt-get install gcc libc6-dev)",
  );
  expect(readdirSync(join(fresh, "build"))).toEqual([]);
});

test("a prebuilt one is taken without a compiler", () => {
  spawnSync(process.execPath, loadArguments());
  const [built = ""] = readdirSync(join(fresh, "build"));
  const libc = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const kind = libc.header.glibcVersionRuntime === undefined ? "musl" : "glibc";
  const prebuilt = join(fresh, "prebuilds", `${process.platform}-${process.arch}-${kind}`);
  mkdirSync(prebuilt, { recursive: true });
  cpSync(join(fresh, "build", built), join(prebuilt, "linux.node"));
  rmSync(join(fresh, "build"), { recursive: true });
  const { stdout } = spawnSync(process.execPath, loadArguments(), {
    encoding: "utf8",
    env: { PATH: join(fresh, "no-such-directory") },
  });
  expect(stdout).toBe(FUNCTIONS);
});
