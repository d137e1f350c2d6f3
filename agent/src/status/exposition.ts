/** Metrics as text that Prometheus reads. Source: Prometheus documentation, "Exposition formats", text format 0.0.4. */
import type { HistogramFigures } from "../core/histogram.ts";

export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels?: Labels;
  readonly value: number | HistogramFigures;
}

export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** One sentence, with the unit where the name has none. */
  readonly help: string;
  /** None where nothing is known yet: the family is left out. */
  readonly samples: readonly Sample[];
}

export function formatFamilies(families: readonly Family[]): string {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(
      ({ name, type, help, samples }) =>
        `# HELP ${name} ${escape(help)}\n# TYPE ${name} ${type}\n` +
        samples.map((sample) => formatSample(name, sample)).join(""),
    )
    .join("");
}

function formatSample(name: string, { labels = {}, value }: Sample): string {
  return typeof value === "number"
    ? formatLine(name, labels, value)
    : formatHistogram(name, labels, value);
}

function formatHistogram(name: string, labels: Labels, figures: HistogramFigures): string {
  const { bounds, counts, sum } = figures;
  let count = 0;
  const buckets = counts.map((inBucket, index) => {
    count += inBucket;
    const le = formatValue(bounds[index] ?? Number.POSITIVE_INFINITY);
    return formatLine(`${name}_bucket`, { ...labels, le }, count);
  });
  return [
    ...buckets,
    formatLine(`${name}_sum`, labels, sum),
    formatLine(`${name}_count`, labels, count),
  ].join("");
}

function formatLine(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${formatValue(value)}\n`;
}

function formatValue(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? "+Inf" : "-Inf";
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escape(text).replaceAll('"', '\\"');
}
