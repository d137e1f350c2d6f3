import type { Verdict } from "./events.ts";
import { escapeCut } from "./markup.ts";
import { flakyLines } from "./flaky.ts";
import { commandAgain, invariantVerdicts, repetitionText, type Story } from "./story.ts";

interface Case {
  readonly name: string;
  readonly seconds: number;
  readonly verdict: Verdict;
  readonly message: string;
  readonly details: readonly string[];
}

/**
 * JUnit XML: a suite a scenario; in it a case for each run of a variant and for each invariant of it. Fail is a failure; unknown is an
 * error, since a reader must not take it for a pass. A set-up that failed, and a run without any log, are cases too.
 * Source: the schema that Jenkins' xunit plugin and GitLab read, junit-10.xsd.
 */
export function formatJUnit(stories: readonly Story[]): string {
  const suites = Map.groupBy(
    stories,
    (story) => story.started?.scenario.name ?? "(runs that did not start)",
  );
  if (suites.size === 0) {
    suites.set("(no run)", []);
  }
  const text = [...suites].map(([name, runs]) => {
    const cases = runs.length === 0 ? [NO_RUN] : runs.flatMap(casesOf);
    const flaky = flakyLines(runs).map((line) => `${escapeCut(line)}\n`);
    return element("testsuite", { name, ...countsOf(cases) }, [
      ...propertiesOf(runs),
      ...cases.map(formatCase),
      ...(flaky.length === 0 ? [] : [element("system-out", {}, flaky)]),
    ]);
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element("testsuites", { name: "lab" }, text)}`;
}

const NO_RUN: Case = {
  name: "any run",
  seconds: 0,
  verdict: "unknown",
  message: "nothing was run",
  details: [],
};

/** Of the suite, which tells its runs apart by their names: a case has none in the schema. */
function propertiesOf(runs: readonly Story[]): readonly string[] {
  const properties = runs.flatMap((story) => {
    const { seed } = story.started ?? {};
    const name = `seed of ${nameOf(story)}`;
    return seed === undefined ? [] : [element("property", { name, value: String(seed) }, [])];
  });
  return properties.length === 0 ? [] : [element("properties", {}, properties)];
}

function nameOf({ started }: Story): string {
  return started === undefined ? "unknown variant" : started.variant.text + repetitionText(started);
}

function casesOf(story: Story): readonly Case[] {
  const { judgement, broke } = story;
  const variant = nameOf(story);
  const run: Case = {
    name: variant,
    seconds: story.endMs / 1000,
    verdict: judgement.verdict,
    message: judgement.reasons[0] ?? broke?.message ?? "",
    details: [
      ...judgement.reasons,
      ...(broke?.details ?? []),
      ...commandAgain(story).map((command) => `again: ${command}`),
    ],
  };
  const invariants = [...invariantVerdicts(story)].map(([id, verdict]): Case => {
    const said = story.violations.filter((violation) => violation.id === id);
    const checked = story.checked.find((check) => check.id === id);
    return {
      name: `${variant}: ${id}`,
      seconds: 0,
      verdict,
      message: said[0]?.detail ?? checked?.detail ?? "was not checked",
      details: said.map(
        ({ violatedAt, host, detail, evidence }) =>
          `${(violatedAt / 1000).toFixed(3)} s ${host ?? ""} ${detail} ${evidence.join(" ")}`,
      ),
    };
  });
  return [run, ...invariants];
}

function countsOf(cases: readonly Case[]): Readonly<Record<string, string>> {
  const count = (verdict: Verdict): string =>
    String(cases.filter((one) => one.verdict === verdict).length);
  return {
    tests: String(cases.length),
    failures: count("fail"),
    errors: count("unknown"),
    skipped: "0",
    time: cases.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(3),
  };
}

function formatCase({ name, seconds, verdict, message, details }: Case): string {
  const attributes = { name, classname: "lab", time: seconds.toFixed(3) };
  if (verdict === "pass") {
    return element("testcase", attributes, []);
  }
  const kind = verdict === "fail" ? "failure" : "error";
  const body = details.map((line) => `${escapeCut(line)}\n`).join("");
  return element("testcase", attributes, [
    `<${kind}${formatAttributes({ message, type: verdict })}>${body}</${kind}>\n`,
  ]);
}

function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  children: readonly string[],
): string {
  const start = `<${name}${formatAttributes(attributes)}`;
  return children.length === 0 ? `${start}/>\n` : `${start}>\n${children.join("")}</${name}>\n`;
}

function formatAttributes(attributes: Readonly<Record<string, string>>): string {
  return Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${escapeCut(value).replaceAll("\n", "&#10;")}"`)
    .join("");
}
