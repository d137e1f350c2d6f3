import { LabError } from "../errors.ts";

/** `10s`, `500ms`, `2m` in milliseconds. @throws LabError "usage" */
export function parseDuration(flag: string, text: string): number {
  const match = /^(\d{1,8})(ms|s|m|h)$/.exec(text);
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match?.[2] ?? ""];
  if (match === null || unit === undefined) {
    throw new LabError("usage", `${flag} wants a time such as 500ms, 10s or 2m, not "${text}"`);
  }
  return Number(match[1]) * unit;
}
