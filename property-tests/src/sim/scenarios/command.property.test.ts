/** The words of `pnpm sim --scenario`, what it writes, and its exit codes. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { isOfScenarios, playScenarios } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "twill-scenarios-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Run {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

async function run(...words: readonly string[]): Promise<Run> {
  const [out, errors]: [string[], string[]] = [[], []];
  const code = await playScenarios(
    words,
    { write: (text) => out.push(text) },
    { write: (text) => errors.push(text) },
  );
  return { code, out: out.join(""), errors: errors.join("") };
}

function file(name: string, steps: readonly object[]): string {
  const scenario = {
    name,
    why: "",
    invariants: [],
    nodes: 2,
    variants: [{ backend: "vxlan", family: "v4", segments: 1 }],
    steps,
  };
  const path = join(folder, `${name}.scenario.ts`);
  writeFileSync(path, `export const scenario = ${JSON.stringify(scenario)};`);
  return path;
}

test("a command line is for scenarios when it names one", () => {
  expect(isOfScenarios(["--seed", "1", "--scenario", "all"])).toBe(true);
  expect(isOfScenarios(["--scenario=all"])).toBe(true);
  expect(isOfScenarios(["--seeds", "5"])).toBe(false);
});

test("each variant that was asked for has a line, and one that passes ends with 0", async () => {
  const { code, out } = await run("--scenario", "host-reboots", "--family", "dual");
  expect(code).toBe(0);
  expect(out.split("\n").map((line) => line.replace(/[\d.]+ s virtual, \d+ ms$/, "TIMES"))).toEqual(
    [
      "✓ host-reboots (vxlan dual, 1 segment) TIMES",
      "✓ host-reboots (host-gw dual, 1 segment) TIMES",
      "",
      "2 passed, 0 failed, 0 not playable",
      "",
    ],
  );
});

test("what cannot be played says why, and alone ends with 3", async () => {
  const path = file("lossy", [{ fault: "loss", node: 1, percent: 10 }]);
  const { code, out } = await run("--scenario", path);
  expect(code).toBe(3);
  expect(out).toMatch(/^– lossy \(vxlan v4, 1 segment\) not playable: loss: no packets travel/);
  expect((await run("--scenario", path, "--scenario", "largest-packet")).code).toBe(0);
});

test("what fails names step, invariant and moment, shows what happened, and ends with 1", async () => {
  const path = file("dead", [
    { fault: "kill-agent", node: 1 },
    { fault: "delete-route", node: 1, peer: 2 },
    { expect: "repaired", withinMs: 1000 },
  ]);
  const { code, out } = await run("--scenario", path, "--seed", "7");
  expect(code).toBe(1);
  expect(out).toMatch(/^✗ dead \(vxlan v4, 1 segment\) /);
  expect(out).toMatch(
    /D11: step 3, expect repaired withinMs=1000, at \d+\.\d{3} s:\n +n1 lacks route/,
  );
  expect(out).toMatch(/step 2: fault delete-route node=1 peer=2\n/);
  const replay = `replay: pnpm sim --scenario ${path} --backend vxlan --family v4 --seed 7\n`;
  expect(out).toContain(replay);
});

test.each([
  [
    ["--scenario", "nobody-knows"],
    /^there is no scenario "nobody-knows"; there are address-changes, /,
  ],
  [["--scenario", "all", "--seed", "one"], /^--seed is one: expected a whole number/],
  [["--scenario", "all", "--minutes", "10"], /'--minutes'/],
  [["--scenario", "all", "--backend", "wireguard"], /^no variant has that backend and family/],
  [["--scenario", "nowhere.scenario.ts"], /^cannot read the scenario nowhere\.scenario\.ts/],
])("%j ends with 64 before anything is played", async (words, message) => {
  const { code, out, errors } = await run(...words);
  expect(code).toBe(64);
  expect(errors).toMatch(message);
  expect(out).toBe("");
});

test("nor is a scenario with a node that is not there", async () => {
  const { code, errors } = await run(
    "--scenario",
    file("absent", [{ fault: "kill-agent", node: 3 }]),
  );
  expect(code).toBe(64);
  expect(errors).toBe("scenario absent, step 1: there is no n3; there are n1, n2\n");
});
