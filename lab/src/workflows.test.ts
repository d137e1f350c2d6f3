import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { parseFlags } from "./commands/flags.ts";
import { COMMANDS } from "./commands/registry.ts";
import { listDirectory } from "./system/files.ts";
import { splitWords } from "./words.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FOLDER = join(ROOT, ".github/workflows");
const FILES = listDirectory(FOLDER);

/** The keys that we use of each part. Source: GitHub Actions, workflow syntax. */
const KEYS = {
  workflow: ["name", "on", "permissions", "concurrency", "jobs"],
  event: ["push", "pull_request", "schedule", "workflow_dispatch"],
  job: ["runs-on", "timeout-minutes", "strategy", "steps"],
  strategy: ["fail-fast", "matrix"],
  step: ["name", "if", "run", "uses", "with", "env"],
} as const;
/** What a command line may be told by GitHub: nothing that a stranger writes, such as a branch or a title. */
const EXPRESSIONS = /^(github\.(workflow|ref)|matrix\.(backend|name|flags)|!cancelled\(\))$/;
const EXPRESSION = /\$\{\{.*?\}\}/g;
const PINNED = /^actions\/[a-z-]+@[0-9a-f]{40}$/;

type Part = Readonly<Record<string, unknown>>;

interface Workflow {
  readonly text: string;
  readonly whole: Part;
  readonly jobs: readonly Part[];
  readonly steps: readonly Part[];
}

function part(value: unknown): Part {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Part)
    : {};
}

function parts(value: unknown): readonly Part[] {
  return Array.isArray(value) ? value.map(part) : [];
}

/** Every error and warning of the parser is one here: a key that is there twice, a tab, an alias to nothing. */
function read(file: string): Workflow {
  const text = readFileSync(join(FOLDER, file), "utf8");
  const document = parseDocument(text, { strict: true, uniqueKeys: true });
  expect([...document.errors, ...document.warnings].map(String)).toEqual([]);
  const whole = part(document.toJS());
  const jobs = Object.values(part(whole["jobs"])).map(part);
  return { text, whole, jobs, steps: jobs.flatMap((job) => parts(job["steps"])) };
}

function strangers(value: unknown, known: readonly string[]): readonly string[] {
  return Object.keys(part(value)).filter((key) => !known.includes(key));
}

/** The command lines of `run`, a line each; a line that goes on is one. */
function commandsIn(steps: readonly Part[]): readonly string[] {
  return steps.flatMap(({ run }) =>
    typeof run === "string" ? run.replaceAll("\\\n", " ").split("\n") : [],
  );
}

/** What `pnpm` is asked to run, with its words. */
function pnpmCalls(steps: readonly Part[]): readonly (readonly string[])[] {
  return commandsIn(steps)
    .filter((line) => line.includes("pnpm@"))
    .map((line) => {
      const words = splitWords(line.replaceAll(EXPRESSION, "x").trim());
      const after = words.slice(words.findIndex((word) => word.startsWith("pnpm@")) + 1);
      const end = after.findIndex((word) => word === "||");
      return after.slice(0, end < 0 ? after.length : end).filter((word) => word !== "--silent");
    });
}

test("there are workflows", () => {
  expect(FILES).toEqual(["check.yml", "lab.yml", "nightly.yml"]);
});

describe.each(FILES)("%s", (file) => {
  const { text, whole, jobs, steps } = read(file);

  test("has the parts that a workflow has, and no others", () => {
    expect(strangers(whole, KEYS.workflow)).toEqual([]);
    expect(KEYS.workflow.filter((key) => !(key in whole))).toEqual([]);
    expect(strangers(whole["on"], KEYS.event)).toEqual([]);
    expect(Object.keys(part(whole["on"]))).not.toEqual([]);
    expect(jobs.length).toBeGreaterThan(0);
    for (const job of jobs) {
      expect(strangers(job, KEYS.job)).toEqual([]);
      expect(job["runs-on"]).toBe("ubuntu-24.04");
      expect(job["timeout-minutes"]).toBeTypeOf("number");
      expect(strangers(job["strategy"], KEYS.strategy)).toEqual([]);
      expect(parts(job["steps"]).length).toBeGreaterThan(0);
    }
    for (const step of steps) {
      expect(strangers(step, KEYS.step)).toEqual([]);
      expect(["run", "uses"].filter((key) => typeof step[key] === "string")).toHaveLength(1);
    }
  });

  test("may read the repository and nothing else, and knows no secrets", () => {
    expect(whole["permissions"]).toEqual({ contents: "read" });
    expect(text).not.toMatch(/secrets|pull_request_target|GITHUB_TOKEN/i);
    for (const [, inner = ""] of text.matchAll(/\$\{\{\s*(.*?)\s*\}\}/g)) {
      expect(inner).toMatch(EXPRESSIONS);
    }
  });

  test("takes every action by its commit, and says which version that is", () => {
    for (const { uses } of steps.filter((step) => "uses" in step)) {
      expect(uses).toMatch(PINNED);
      expect(text).toMatch(new RegExp(`uses: ${String(uses)} # v\\d+\\.\\d+\\.\\d+$`, "m"));
    }
  });

  test("runs what the shell can read", () => {
    for (const { run } of steps.filter((step) => "run" in step)) {
      // An expression is text by the time the shell sees it.
      const script = String(run).replaceAll(EXPRESSION, "x");
      const { status, stderr } = spawnSync("bash", ["-n", "-c", script], { encoding: "utf8" });
      expect(status, stderr).toBe(0);
    }
  });

  test("runs scripts that are there, and the lab with flags that it knows", async () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    const calls = pnpmCalls(steps);
    const called = calls.map(([script = ""]) => script);
    expect(called.filter((script) => !Object.hasOwn(scripts, script))).toEqual([]);
    for (const [, verb = "", ...words] of calls.filter(([script]) => script === "lab")) {
      const open = COMMANDS[verb] ?? (() => Promise.reject(new Error(`there is no lab ${verb}`)));
      const command = await open();
      expect(() => parseFlags(command, words, { maxPositionals: 1 })).not.toThrow();
    }
  });
});

describe.each(["lab.yml", "nightly.yml"])("the runs of the lab in %s", (file) => {
  const { jobs } = read(file);
  const withRuns = jobs.filter((job) =>
    commandsIn(parts(job["steps"])).some((line) => line.includes("lab run")),
  );

  test("leave their reports and event logs, whatever they came to", () => {
    expect(withRuns.length).toBeGreaterThan(0);
    for (const job of withRuns) {
      const steps = parts(job["steps"]);
      const [command = ""] = commandsIn(steps).filter((line) => line.includes("lab run"));
      const reports = [...command.matchAll(/--(?:junit|html) (\S+)/g)].map(([, name]) => name);
      expect(reports).toHaveLength(2);
      const upload = steps.find(({ uses }) => String(uses).startsWith("actions/upload-artifact@"));
      expect(upload?.["if"]).toBe("${{ !cancelled() }}");
      const { path, "if-no-files-found": none } = part(upload?.["with"]);
      expect(String(path).trim().split("\n")).toEqual([...reports, ".lab/runs"]);
      expect(none).toBe("error");
    }
  });
});

test("each night every variant of every scenario is run, of both backends, and every known bug", () => {
  const [job = {}] = read("nightly.yml").jobs.filter(({ strategy }) => strategy !== undefined);
  const { include } = part(part(job["strategy"])["matrix"]);
  expect(parts(include).map(({ flags }) => flags)).toEqual([
    "--backend vxlan",
    "--backend host-gw",
    "--mutation all",
  ]);
});
