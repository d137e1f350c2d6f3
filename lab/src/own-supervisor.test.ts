import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RUNNER } from "./bundles.ts";
import { SUPERVISOR } from "./own-supervisor.ts";

const REPOSITORY = join(import.meta.dirname, "../..");
const BUILD_LIMIT_MS = 60_000;

let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "own-supervisor-"));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

test(
  "every file that the bundle is made of has a say in where it belongs, and the bundle starts",
  { timeout: BUILD_LIMIT_MS },
  () => {
    const argv = [join(REPOSITORY, SUPERVISOR.build), "--out", directory];
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const inputs = stdout.trim().split("\n");
    expect(inputs).toContain("lab/src/supervisor.ts");
    const isKnown = (input: string): boolean =>
      SUPERVISOR.madeOf.some((path) => input === path || input.startsWith(`${path}/`));
    expect(inputs.filter((input) => !isKnown(input))).toEqual([]);
    const program = join(directory, SUPERVISOR.program);
    const started = spawnSync(process.execPath, [RUNNER, program, directory], { encoding: "utf8" });
    expect(started.status).toBe(1);
    expect(started.stderr).toContain(`no ${directory}/lab.json`);
  },
);

test("V8 takes its kept code again: the flag it sets is the one that the code is kept under", () => {
  const smallHeap = readFileSync(join(import.meta.dirname, "system/small-heap.ts"), "utf8");
  const flags = [...smallHeap.matchAll(/setFlagsFromString\("(.+)"\)/g)].map(([, flag]) => flag);
  expect(flags).toHaveLength(1);
  expect(readFileSync(RUNNER, "utf8")).toContain(`const FLAG_WHILE_IT_RUNS = "${flags[0]}"`);
});
