/** How often a figure was how large, in buckets that Prometheus can add up over nodes. */
export interface HistogramFigures {
  /** Upper bounds of the buckets, growing; above the last there is one more. */
  readonly bounds: readonly number[];
  /** One count per bucket, the last for what is above all bounds; not cumulative. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** From a read of memory to a pass over ten thousand peers, about three to a decade. */
export const DURATION_BOUNDS_SECONDS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[] = DURATION_BOUNDS_SECONDS) {
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  /** A value that is a bound belongs to the bucket below it. Source: Prometheus exposition formats, "le". */
  observe(value: number): void {
    const found = this.#bounds.findIndex((bound) => value <= bound);
    const index = found === -1 ? this.#bounds.length : found;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += value;
  }

  get figures(): HistogramFigures {
    return { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum };
  }
}
