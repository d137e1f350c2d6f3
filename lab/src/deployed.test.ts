import { spawnSync } from "node:child_process";
import { requires } from "linux/testing";
import { describe, expect, test } from "vitest";
import {
  alertRules,
  dashboardPanels,
  deployedExpressions,
  RULES_FOLDER,
} from "./testing/deployed.ts";
import { readScrape } from "./testing/exposition.ts";
import { readExpression } from "./testing/promql.ts";

/** Of Prometheus itself. */
const PROMTOOL = "promtool";

describe("what is deployed for Prometheus and Grafana", () => {
  test("every expression is PromQL, and asks for series of the agent or its process", () => {
    const expressions = deployedExpressions();
    expect(expressions.length).toBeGreaterThan(20);
    for (const text of expressions)
      for (const { metric } of readExpression(text).selectors)
        expect(metric, text).toMatch(/^(flannel|process)_/);
  });

  test("every alert and every panel has a name of its own, and an alert says what to do", () => {
    const names = [
      ...alertRules().map(({ alert }) => alert),
      ...dashboardPanels().map(({ title }) => title),
    ];
    expect(new Set(names).size).toBe(names.length);
    for (const { alert, annotations } of alertRules())
      expect(annotations.description.length, alert).toBeGreaterThan(20);
  });
});

requires("promtool")("what promtool says of the rules", () => {
  test.each([
    ["check", "flannel.rules.yaml"],
    ["test", "flannel.rules.test.yaml"],
  ])("promtool %s rules %s", (verb, file) => {
    const { status, stdout, stderr } = spawnSync(PROMTOOL, [verb, "rules", file], {
      cwd: RULES_FOLDER,
      encoding: "utf8",
      timeout: 60_000,
    });
    expect(status, `${stdout}${stderr}`).toBe(0);
  });
});

describe("the reader of PromQL", () => {
  test("finds metrics, the label values they are asked for, and groupings", () => {
    const { selectors, grouping } = readExpression(
      'sum by (cause) (rate(a_total{cause=~"x|y",kind="z",instance!="q"}[5m])) / max(b)',
    );
    expect(selectors).toEqual([
      {
        metric: "a_total",
        values: new Map([
          ["cause", ["x", "y"]],
          ["kind", ["z"]],
        ]),
      },
      { metric: "b", values: new Map() },
    ]);
    expect(grouping).toEqual(["cause"]);
  });

  test.each(["sum(", "a > ", "rate(a[5m)", '{job="x"}'])("refuses %s", (text) => {
    expect(() => readExpression(text)).toThrow(text);
  });
});

describe("the reader of scrapes", () => {
  const head = "# HELP a_total x\n# TYPE a_total counter\n";
  test("reads families, labels and values", () => {
    const { families, series } = readScrape(
      `${head}a_total{x="q\\"u\\\\o\\n",y=""} +Inf\na_total 1.5e-9\n`,
    );
    expect([...families]).toEqual([["a_total", "counter"]]);
    expect(series.get("a_total")).toEqual([
      {
        labels: new Map([
          ["x", 'q"u\\o\n'],
          ["y", ""],
        ]),
        value: Number.POSITIVE_INFINITY,
      },
      { labels: new Map(), value: 1.5e-9 },
    ]);
  });

  test.each([
    [`${head}a_total 1`, "the last line has no end"],
    ["a_total 1\n", "outside its family"],
    ["# TYPE a gauge\na 1\n", "no help before"],
    ["# HELP a x\n# TYPE a counter\na 1\n", "ends in _total"],
    [`${head}a_total 1\na_total 2\n`, "twice"],
    [`${head}a_total one\n`, "outside its family, or no sample"],
    [`${head}a_total{x=1} 1\n`, "bad labels"],
    [`${head}b_total 1\n`, "outside its family"],
    ['# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n', "do not add up"],
    [
      '# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
      "do not add up",
    ],
  ])("refuses %j", (text, words) => {
    expect(() => readScrape(text)).toThrow(words);
  });
});
