/**
 * Reads what a /metrics page answers, and refuses what Prometheus would refuse or what its conventions forbid.
 * Source: Prometheus documentation, "Exposition formats", text format 0.0.4, and "Metric and label naming".
 */
export interface Scrape {
  readonly families: ReadonlyMap<string, "counter" | "gauge" | "histogram">;
  /** By the name on the line, with `_bucket`, `_sum` and `_count`. */
  readonly series: ReadonlyMap<string, readonly Series[]>;
}

export interface Series {
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const VALUE = "[+-]?(?:Inf|\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?)|NaN";
const LINE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (${VALUE})$`, "u");
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/u;

/** @throws Error naming the first bad line */
export function readScrape(text: string): Scrape {
  const families = new Map<string, "counter" | "gauge" | "histogram">();
  const series = new Map<string, Series[]>();
  let helped = "";
  let family = "";
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  for (const line of text.slice(0, -1).split("\n")) {
    const [, word, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/u.exec(line) ?? [];
    if (word === "HELP") helped = name;
    else if (word === "TYPE") {
      if (name !== helped) throw new Error(`no help before: ${line}`);
      if (families.has(name)) throw new Error(`twice: ${line}`);
      if (rest !== "counter" && rest !== "gauge" && rest !== "histogram")
        throw new Error(`unknown type: ${line}`);
      if ((rest === "counter") !== name.endsWith("_total"))
        throw new Error(`a counter, and nothing else, ends in _total: ${line}`);
      family = name;
      families.set(name, rest);
    } else {
      const [, sample = "", labels, value = ""] = LINE.exec(line) ?? [];
      const base =
        families.get(family) === "histogram" ? sample.replace(/_(bucket|sum|count)$/u, "") : sample;
      if (sample === "" || base !== family)
        throw new Error(`outside its family, or no sample: ${line}`);
      const found = series.get(sample) ?? [];
      const one = {
        labels: readLabels(labels ?? ""),
        value: Number(value.replace("Inf", "Infinity")),
      };
      if (found.some((other) => keyOf(other) === keyOf(one))) throw new Error(`twice: ${line}`);
      series.set(sample, [...found, one]);
    }
  }
  checkHistograms(families, series);
  return { families, series };
}

function readLabels(text: string): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  for (let rest = text; rest !== "";) {
    const [whole, name = "", value = ""] = LABEL.exec(rest) ?? [];
    if (whole === undefined || labels.has(name)) throw new Error(`bad labels: ${text}`);
    labels.set(
      name,
      value.replaceAll(/\\(.)/gu, (_, one: string) => (one === "n" ? "\n" : one)),
    );
    rest = rest.slice(whole.length);
  }
  return labels;
}

/** Buckets grow, end with +Inf, and the last of them is the count. */
function checkHistograms(
  families: Scrape["families"],
  series: ReadonlyMap<string, readonly Series[]>,
): void {
  for (const [name, type] of families) {
    if (type !== "histogram") continue;
    for (const count of series.get(`${name}_count`) ?? []) {
      const buckets = (series.get(`${name}_bucket`) ?? []).filter(
        (bucket) => keyOf(bucket, "le") === keyOf(count),
      );
      const values = buckets.map(({ value }) => value);
      const grows = values.every((value, index) => value >= (values[index - 1] ?? 0));
      if (!grows || buckets.at(-1)?.labels.get("le") !== "+Inf" || values.at(-1) !== count.value)
        throw new Error(`the buckets of ${name} do not add up`);
    }
  }
}

function keyOf({ labels }: Series, without = ""): string {
  const pairs = [...labels].filter(([name]) => name !== without);
  return pairs
    .map((pair) => JSON.stringify(pair))
    .toSorted()
    .join(" ");
}
