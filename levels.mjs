/**
 * Runs the checks and tests level by level and ends with `N passed, N failed, N skipped`.
 * Usage: node levels.mjs [static|unit|property|netns|store|lab ...] [-- vitest arguments]
 * REQUIRE=netns,vxlan,etcd,lab (or all) makes tests that cannot run here fail instead of being skipped.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";

const LEVELS = ["static", "unit", "property", "netns", "store", "lab"];
/** What reads the code without running it; each counts as one test. */
const STATIC = [["tsc"], ["oxlint"], ["oxfmt", "--check"], ["knip"]];
const vitest = join(import.meta.dirname, "node_modules/vitest/vitest.mjs");
const installer = join(import.meta.dirname, "lab/src/install.ts");

/** What was expected and seen, and where in our own files. */
const FAILURE_LINES = 8;

const words = process.argv.slice(2);
const end = words.includes("--") ? words.indexOf("--") : words.length;
const asked = words.slice(0, end);
const passedOn = words.slice(end + 1);
const unknown = asked.filter((word) => !LEVELS.includes(word));
if (unknown.length > 0) {
  process.stderr.write(`unknown level ${unknown.join(", ")}: one of ${LEVELS.join(", ")}\n`);
  process.exit(64);
}
const levels = asked.length > 0 ? asked : LEVELS;

// The levels that need programs of the system say what they install; at a desk a refusal only means skipped tests.
if (levels.some((level) => ["netns", "store", "lab"].includes(level)))
  spawnSync(process.execPath, [installer], { stdio: "inherit" });

const directory = mkdtempSync(join(tmpdir(), "twill-levels-"));
const rows = [];
/** The statements A1 to D13 of the design's list of invariants; each test names those it checks at the start of its title. */
const INVARIANTS = [
  ...Array.from({ length: 13 }, (_, index) => `A${index + 1}`),
  ...Array.from({ length: 10 }, (_, index) => `B${index + 1}`),
  ...Array.from({ length: 9 }, (_, index) => `C${index + 1}`),
  ...Array.from({ length: 13 }, (_, index) => `D${index + 1}`),
];
/** Where the compatible reading was chosen instead of the strict one, which has no check then. */
const CHOICES = {
  B2: "compat: a node without its store keeps forwarding, as the reference does; B3' holds instead",
  B3: "compat: B3', no node writes a key of another owner",
};
/** What a level's tests run against. */
const WHERE = { unit: "unit", property: "simulated", netns: "real", store: "real", lab: "real" };
try {
  for (const level of levels) rows.push(level === "static" ? runStatic() : run(level));
} finally {
  rmSync(directory, { recursive: true });
}

printFailures(rows);
process.stdout.write("\nlevel     passed  failed  skipped  seconds\n");
for (const row of rows)
  process.stdout.write(
    `${row.level.padEnd(8)}  ${[row.passed, row.failed, row.skipped].map((n) => String(n).padStart(6)).join("  ")}  ${row.seconds.toFixed(1).padStart(7)}\n`,
  );
const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
printInvariants(rows);
process.stdout.write(
  `\n${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped\n`,
);
process.exit(sum("failed") === 0 ? 0 : 1);

function runStatic() {
  const startedMs = performance.now();
  process.stdout.write("\n── static\n");
  let failed = 0;
  for (const [tool, ...rest] of STATIC) {
    const { status } = spawnSync(join(import.meta.dirname, "node_modules/.bin", tool), rest, {
      stdio: ["ignore", "inherit", "inherit"],
      cwd: import.meta.dirname,
    });
    process.stdout.write(`${status === 0 ? "✓" : "✗"} ${tool}\n`);
    if (status !== 0) failed++;
  }
  const seconds = (performance.now() - startedMs) / 1000;
  return { level: "static", passed: STATIC.length - failed, failed, skipped: 0, seconds };
}

function run(level) {
  const report = join(directory, `${level}.json`);
  const startedMs = performance.now();
  process.stdout.write(`\n── ${level}\n`);
  const command = [
    process.execPath,
    vitest,
    "run",
    "--project",
    level,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
    ...passedOn,
  ];
  const { status } = spawnSync(command[0], command.slice(1), {
    stdio: ["ignore", "inherit", "inherit"],
    cwd: import.meta.dirname,
  });
  const seconds = (performance.now() - startedMs) / 1000;
  const counts = read(report);
  // A run that died, or found nothing to do, is a failure however green its numbers are.
  const broken =
    (status !== 0 && counts.failed === 0) || counts.passed + counts.failed + counts.skipped === 0;
  if (broken)
    process.stdout.write(
      `level ${level} ended with status ${status} and ${counts.passed} tests passed\n`,
    );
  return { level, ...counts, failed: counts.failed + (broken ? 1 : 0), seconds };
}

function read(report) {
  try {
    const json = JSON.parse(readFileSync(report, "utf8"));
    const failedFiles = json.testResults.filter(
      (file) =>
        file.status === "failed" && file.assertionResults.every((one) => one.status !== "failed"),
    ).length;
    return {
      passed: json.numPassedTests,
      failed: json.numFailedTests + failedFiles,
      skipped: json.numPendingTests + json.numTodoTests,
      ids: json.testResults.flatMap((file) =>
        file.assertionResults.filter((one) => one.status === "passed").flatMap(idsOf),
      ),
      failures: json.testResults.flatMap(failuresOf),
    };
  } catch {
    return { passed: 0, failed: 0, skipped: 0, ids: [], failures: [] };
  }
}

/** Each failed test of a file, or the file itself where it could not run, with what was said first. */
function failuresOf({ name, status, message, assertionResults }) {
  const file = relative(import.meta.dirname, name);
  const failed = assertionResults.filter((one) => one.status === "failed");
  if (failed.length === 0) return status === "failed" ? [{ title: file, message }] : [];
  return failed.map(({ fullName, failureMessages: [first = ""] }) => ({
    title: `${file}: ${fullName}`,
    message: first,
  }));
}

/** Named once more at the end: a log of thousands of lines is read from there. */
function printFailures(levelRows) {
  for (const { level, failures = [] } of levelRows)
    for (const { title, message } of failures) {
      const said = message.split("\n").filter((line) => !line.includes("node_modules"));
      const lines = said.slice(0, FAILURE_LINES);
      process.stdout.write(`\n✗ ${level} ${title}\n  ${lines.join("\n  ")}\n`);
    }
}

/** The ids that a passed test names, in its own title or in that of a group around it: `A1, B3': two nodes …`. */
function idsOf({ ancestorTitles, title }) {
  return [...ancestorTitles, title].flatMap((text) => {
    const [, list = ""] = /^((?:[A-F]\d+'?(?:, )?)+): /.exec(text) ?? [];
    return list.split(", ").filter((id) => id !== "");
  });
}

/** Says for each invariant where a test that names it passed just now. */
function printInvariants(levelRows) {
  const places = new Map();
  for (const { level, ids = [] } of levelRows)
    for (const id of ids.map((one) => one.replace("'", "")))
      places.set(id, (places.get(id) ?? new Set()).add(WHERE[level]));
  if (places.size === 0) return;
  process.stdout.write("\ninvariant and where it was checked\n");
  for (const id of INVARIANTS) {
    const notes = [...(places.get(id) ?? []), ...(id in CHOICES ? [`(${CHOICES[id]})`] : [])];
    if (places.has(id) || id === "B2")
      process.stdout.write(`${id.padEnd(4)} ${notes.join(", ")}\n`);
  }
  const missing = INVARIANTS.filter((id) => !places.has(id) && id !== "B2");
  if (missing.length > 0)
    process.stdout.write(`missing: ${missing.join(", ")} (no test that ran names them)\n`);
}
