/** What a check says. Unknown is not pass: the check could not look. */
export interface Finding {
  readonly verdict: "pass" | "fail" | "unknown";
  /** What was seen, a line each; for a pass, what was looked at. */
  readonly details: readonly string[];
  /** Numbers and their names, for reports. Times are milliseconds. */
  readonly measured?: Readonly<Record<string, number | string>>;
}

export function pass(...details: string[]): Finding {
  return { verdict: "pass", details };
}

export function unknown(...details: string[]): Finding {
  return { verdict: "unknown", details };
}

/** Fails if there is anything to say, else passes having looked at `looked`. */
export function failIfAny(violations: readonly string[], looked: string): Finding {
  return violations.length === 0 ? pass(looked) : { verdict: "fail", details: violations };
}
