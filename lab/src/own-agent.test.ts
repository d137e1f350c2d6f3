import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { buildOwnAgent, bundlePlace, defaultFlanneld } from "./own-agent.ts";
import { type Clock, systemClock } from "./system/clock.ts";

const REPOSITORY = join(import.meta.dirname, "../..");
/** Two builds, on a machine whose cores are busy. */
const BUILD_LIMIT_MS = 120_000;

let copy = "";

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), "own-agent-"));
});

afterEach(() => rmSync(copy, { recursive: true, force: true }));

function copySources(): void {
  for (const room of ["agent", "linux", "shipping"]) {
    cpSync(join(REPOSITORY, room), join(copy, room), {
      recursive: true,
      filter: (path) => !path.includes("node_modules"),
    });
    symlinkSync(join(REPOSITORY, room, "node_modules"), join(copy, room, "node_modules"));
  }
  cpSync(join(REPOSITORY, "pnpm-lock.yaml"), join(copy, "pnpm-lock.yaml"));
}

/** Another content of the same length, and a time as if nothing had happened. */
function replaceIn(path: string, from: string, to: string): void {
  const file = join(copy, path);
  const { atime, mtime } = statSync(file);
  const text = readFileSync(file, "utf8");
  expect(text).toContain(from);
  writeFileSync(file, text.replace(from, to));
  utimesSync(file, atime, mtime);
}

async function versionOfBundle(): Promise<string> {
  const program = bundlePlace(copy);
  await buildOwnAgent([process.execPath, program], copy);
  const { stderr } = spawnSync(process.execPath, [program, "--version"], { encoding: "utf8" });
  return stderr.trim();
}

test("a change of the source is never missed", { timeout: BUILD_LIMIT_MS }, async () => {
  copySources();
  const { version } = JSON.parse(readFileSync(join(copy, "agent/package.json"), "utf8")) as {
    readonly version: string;
  };
  const changed = version.replace(/.$/, (last) => (last === "9" ? "8" : "9"));
  expect(await versionOfBundle()).toBe(version);
  const first = bundlePlace(copy);
  replaceIn("agent/package.json", version, changed);
  expect(await versionOfBundle()).toBe(changed);
  replaceIn("agent/package.json", changed, version);
  expect(bundlePlace(copy)).toBe(first);
  const { ctimeMs } = statSync(first);
  expect(await versionOfBundle()).toBe(version);
  // Found, not built again.
  expect(statSync(first).ctimeMs).toBe(ctimeMs);
});

function makeTinySources(build: string): void {
  for (const folder of ["agent/src/core", "linux/addon", "linux/src", "shipping/src"])
    mkdirSync(join(copy, folder), { recursive: true });
  writeFileSync(join(copy, "agent/src/main.ts"), "one");
  writeFileSync(join(copy, "linux/addon/linux.c"), "native");
  writeFileSync(join(copy, "shipping/src/main.ts"), build);
}

test("every part has a say in where the bundle belongs, and nothing else has", () => {
  makeTinySources("");
  const places = [bundlePlace(copy)];
  const change = (act: () => void): void => {
    act();
    places.push(bundlePlace(copy));
  };
  const write = (path: string, text: string) => () => writeFileSync(join(copy, path), text);
  change(() => replaceIn("agent/src/main.ts", "one", "two"));
  change(write("agent/src/core/new.ts", ""));
  change(() =>
    renameSync(join(copy, "agent/src/core/new.ts"), join(copy, "agent/src/core/other.ts")),
  );
  change(write("linux/addon/linux.c", "better"));
  change(write("linux/package.json", "{}"));
  change(write("pnpm-lock.yaml", "etcd3: 2"));
  change(write("shipping/src/bundle.ts", "minify"));
  expect(new Set(places).size).toBe(places.length);
  const last = bundlePlace(copy);
  write("README.md", "words")();
  expect(bundlePlace(copy)).toBe(last);
});

/** A minute from now, when no file was changed just now. */
const LATER: Clock = {
  ...systemClock,
  isoTime: () => new Date(Date.now() + 60_000).toISOString(),
};

test("a key is kept until a source changes, and not at once", () => {
  makeTinySources("");
  const kept = join(copy, "node_modules/.cache/flanneld.key");
  const first = bundlePlace(copy);
  expect(existsSync(kept)).toBe(false);
  expect(bundlePlace(copy, LATER)).toBe(first);
  const key = basename(dirname(first));
  writeFileSync(kept, readFileSync(kept, "utf8").replace(key, "kept"));
  expect(basename(dirname(bundlePlace(copy)))).toBe("kept");
  replaceIn("agent/src/main.ts", "one", "two");
  const second = bundlePlace(copy, LATER);
  expect([key, "kept"]).not.toContain(basename(dirname(second)));
  writeFileSync(join(copy, "agent/src/new.ts"), "");
  expect(bundlePlace(copy, LATER)).not.toBe(second);
});

const COUNTS_ITSELF = `
  import { appendFileSync, writeFileSync } from "node:fs";
  appendFileSync(import.meta.dirname + "/../../builds", "x");
  writeFileSync(process.argv[3] + "/flanneld.cjs", "");
`;

test("what is not used for weeks is removed at the next build, and what is used is not built again", async () => {
  makeTinySources(COUNTS_ITSELF);
  const program = bundlePlace(copy);
  const caches = dirname(dirname(program));
  for (const name of ["old", "recent"]) mkdirSync(join(caches, name), { recursive: true });
  const old = new Date(Date.now() - 15 * 24 * 3600 * 1000);
  utimesSync(join(caches, "old"), old, old);
  await buildOwnAgent(["node", program], copy);
  await buildOwnAgent(["node", program], copy);
  expect(readFileSync(join(copy, "builds"), "utf8")).toBe("x");
  expect(readdirSync(caches).toSorted()).toEqual(
    [dirname(program).slice(caches.length + 1), "recent"].toSorted(),
  );
});

test("another program is not built", async () => {
  makeTinySources(COUNTS_ITSELF);
  await buildOwnAgent(["/opt/flanneld", "--iface=eth0"], copy);
  expect(readdirSync(copy)).not.toContain("builds");
});

test("sources that change while they are bundled are refused, and nothing of it is kept", async () => {
  makeTinySources(
    `${COUNTS_ITSELF}\nappendFileSync(import.meta.dirname + "/../../agent/src/main.ts", "later");`,
  );
  const program = bundlePlace(copy);
  await expect(buildOwnAgent(["node", program], copy)).rejects.toThrow(
    "the sources of this repository's agent changed while they were bundled: try again, or --flanneld 'node agent/src/main.ts' runs it from its sources",
  );
  expect(readdirSync(dirname(dirname(program)))).toEqual([]);
});

test("a build that fails is told with what it said, and nothing of it is kept", async () => {
  makeTinySources("throw new Error('no room left');");
  const program = bundlePlace(copy);
  const building = buildOwnAgent(["node", program], copy);
  await expect(building).rejects.toMatchObject({
    code: "command-failed",
    message:
      "cannot bundle this repository's agent; --flanneld 'node agent/src/main.ts' runs it from its sources",
    evidence: expect.arrayContaining([expect.stringContaining("no room left")]),
  });
  expect(readdirSync(dirname(dirname(program)))).toEqual([]);
});

/** Sets the flag that the agent sets, calls a function late, and lives until its compiled code is kept or would have been. */
const COMPILES_LATE = `#!/usr/bin/env node
  const { setFlagsFromString } = require("node:v8");
  setFlagsFromString(process.argv[2]);
  const late = () => require("node:module").flushCompileCache();
  setTimeout(late, 1);
  const began = performance.now();
  const look = setInterval(() => {
    if (require("node:fs").readdirSync(process.argv[3], { recursive: true }).some((name) => name.endsWith(".code")) && performance.now() - began > 2500)
      clearInterval(look);
  }, 20);
  console.log(JSON.stringify({ argv: process.argv.slice(1), __filename, isOwn: module.filename === __filename }));
`;

test(
  "what one agent compiled the next one takes, which has the same words",
  { timeout: 60_000 },
  () => {
    const program = join(copy, "content", "flanneld.cjs");
    const compiled = join(copy, "compiled");
    mkdirSync(dirname(program));
    writeFileSync(program, COMPILES_LATE);
    const smallHeap = readFileSync(join(REPOSITORY, "agent/src/system/small-heap.ts"), "utf8");
    const flags = [...smallHeap.matchAll(/setFlagsFromString\("(.+)"\)/g)].map(([, flag]) => flag);
    expect(flags).toHaveLength(1);
    const [node = "", ...before] = defaultFlanneld().slice(0, -1);
    const run = (): unknown => {
      const words = [...before, program, ...flags.map(String), compiled];
      const env = { ...process.env, NODE_COMPILE_CACHE: compiled };
      const { stdout, stderr } = spawnSync(node, words, { encoding: "utf8", env });
      expect(stderr).toBe("");
      return JSON.parse(stdout);
    };
    const kept = (): readonly (readonly [string, number])[] =>
      readdirSync(compiled, { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".code"))
        .map((name) => [name, statSync(join(compiled, name)).ino]);
    const argv = [program, ...flags, compiled];
    expect(run()).toEqual({ argv, __filename: program, isOwn: true });
    const first = kept();
    expect(first.map(([name]) => name)).toEqual([expect.stringMatching(/\/content\.code$/)]);
    run();
    // Code that V8 had refused would have been kept anew.
    expect(kept()).toEqual(first);
  },
);
