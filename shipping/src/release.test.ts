import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { REPOSITORY } from "./bundle.ts";

/** A copy of Node is stripped and written thrice; a machine whose cores are busy makes it longer. */
const BUILD_LIMIT_MS = 180_000;
const NAMES = ["LICENSES.txt", "flanneld", "flanneld.cdx.json", "flanneld.cjs", "linux.node"];

let home: string;

function build(...flags: readonly string[]): ReturnType<typeof spawnSync> {
  const argv = [join(REPOSITORY, "shipping/src/main.ts"), ...flags];
  return spawnSync(process.execPath, argv, { cwd: home, encoding: "utf8" });
}

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "release-"));
  for (const name of ["one", "two"]) {
    const { status, stderr } = build("--out", name, "--single-file", "--sbom");
    if (status !== 0) throw new Error(`no release: ${String(stderr)}`);
  }
}, BUILD_LIMIT_MS);

afterAll(() => rmSync(home, { recursive: true, force: true }));

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

test("two releases are equal, byte by byte, and nothing else is left", () => {
  for (const folder of ["one", "two"])
    expect(readdirSync(join(home, folder)).toSorted()).toEqual(NAMES);
  for (const name of NAMES)
    expect(digest(join(home, "two", name)), name).toBe(digest(join(home, "one", name)));
});

test("the single file runs without Node, and says nothing but what it is asked", () => {
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, "agent/package.json"), "utf8")) as {
    readonly version: string;
  };
  const run = spawnSync(join(home, "one/flanneld"), ["--version"], {
    cwd: "/",
    encoding: "utf8",
    env: {},
  });
  // V8 warns here of compiled code that it cannot use.
  expect(run).toMatchObject({ status: 0, stdout: "", stderr: `${version}\n` });
  expect(readFileSync(join(home, "one/flanneld")).includes(home)).toBe(false);
});

interface Bill {
  readonly metadata: {
    readonly component: {
      readonly components: readonly {
        readonly name: string;
        readonly hashes: readonly { readonly content: string }[];
      }[];
    };
  };
  readonly components: readonly {
    readonly "bom-ref": string;
    readonly name: string;
    readonly version: string;
    readonly licenses: readonly object[];
  }[];
  readonly dependencies: readonly { readonly dependsOn: readonly string[] }[];
}

test("the bill of materials names the files, and the packages that are in them", () => {
  const bill = JSON.parse(readFileSync(join(home, "one/flanneld.cdx.json"), "utf8")) as Bill;
  for (const { name, hashes } of bill.metadata.component.components)
    expect(hashes[0]?.content, name).toBe(digest(join(home, "one", name)));
  expect(bill.metadata.component.components.map(({ name }) => name)).toEqual([
    "flanneld.cjs",
    "linux.node",
    "flanneld",
  ]);
  const names = bill.components.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["@pinojs/redact", "node", "pino"]));
  expect(names).not.toEqual(expect.arrayContaining(["esbuild"]));
  expect(bill.components.find(({ name }) => name === "@pinojs/redact")?.["bom-ref"]).toMatch(
    /^pkg:npm\/%40pinojs\/redact@\d/,
  );
  expect(bill.dependencies[0]?.dependsOn).toEqual(bill.components.map((one) => one["bom-ref"]));
  const licenses = readFileSync(join(home, "one/LICENSES.txt"), "utf8");
  for (const { name, version } of bill.components.filter((one) => one.name !== "node"))
    expect(licenses).toContain(`\n${name} ${version}\n`);
  expect(licenses).toContain("Node.js is licensed for use as follows");
});

test("a wrong word is one line and 64", () => {
  const { status, stderr } = build("--sea");
  expect(status).toBe(64);
  expect(String(stderr)).toMatch(/^Unknown option '--sea'.*\n$/);
});
