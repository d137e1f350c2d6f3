import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { Histogram } from "../core/histogram.ts";
import { formatFamilies } from "./exposition.ts";
import { formatMetrics, formatMetricsTable } from "./metrics.ts";

/** docs/operating.md holds the table between these lines. */
const BEGIN = "<!-- metrics: generated from agent/src/status/metrics.ts -->\n\n";
const END = "\n<!-- end of metrics -->";

test("values, labels and help are escaped; buckets add up; what is not known is left out", () => {
  const histogram = new Histogram([0.5, 1]);
  for (const value of [0.25, 0.75, 2]) histogram.observe(value);
  const text = formatFamilies([
    {
      name: "a",
      type: "gauge",
      help: "one\\two\nthree",
      samples: [
        { labels: { x: 'q"u\\o\nte' }, value: Number.POSITIVE_INFINITY },
        { value: -1.5e-9 },
      ],
    },
    { name: "nothing", type: "counter", help: "not known", samples: [] },
    {
      name: "h",
      type: "histogram",
      help: "times",
      samples: [{ labels: { verb: "range" }, value: histogram.figures }],
    },
  ]);
  expect(text).toBe(
    [
      "# HELP a one\\\\two\\nthree",
      "# TYPE a gauge",
      'a{x="q\\"u\\\\o\\nte"} +Inf',
      "a -1.5e-9",
      "# HELP h times",
      "# TYPE h histogram",
      'h_bucket{verb="range",le="0.5"} 1',
      'h_bucket{verb="range",le="1"} 2',
      'h_bucket{verb="range",le="+Inf"} 3',
      'h_sum{verb="range"} 3',
      'h_count{verb="range"} 3',
      "",
    ].join("\n"),
  );
});

test("an agent that has only just started shows what it knows", () => {
  const text = formatMetrics({
    version: "0.1.0",
    traffic: [],
    process: { cpuSeconds: 0, residentBytes: 1, startSeconds: 2 },
    state: {
      stage: "waiting for the network config",
      ready: false,
      hindrances: ["starting"],
      peers: [],
      complaints: [],
      refusals: [],
      passes: [],
    },
  });
  expect(text).toContain('flannel_hindrance{reason="starting"} 1\n');
  expect(text).toContain("flannel_lease_held 0\n");
  expect(text).not.toMatch(/^flannel_(lease_seconds_left|store_revision|reconcile)/m);
});

test("the table of docs/operating.md is fresh", async () => {
  const page = await readFile(new URL("../../../docs/operating.md", import.meta.url), "utf8");
  const [, rest = ""] = page.split(BEGIN);
  const [table = ""] = rest.split(END);
  expect(plain(table)).toEqual(plain(formatMetricsTable()));
});

/** The cells of a table, however wide its columns are. */
function plain(table: string): readonly (readonly string[])[] {
  return table
    .trim()
    .split("\n")
    .filter((line) => !/^\|[\s|-]+$/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));
}
