const LETTERS: Readonly<Record<string, string>> = { error: "E", warn: "W", info: "I", debug: "D" };

/** Turns one JSON log line into text for a person: time, level letter, words, then the data as name=value. */
export function formatLogLine(json: string): string {
  const { level, time, msg, err, ...data } = JSON.parse(json) as Record<string, unknown>;
  const fields = Object.entries(data).map(([name, value]) => `${name}=${formatValue(value)}`);
  const reason = errorMessage(err);
  const words = [
    String(msg),
    ...fields,
    ...(reason === undefined ? [] : [`err=${JSON.stringify(reason)}`]),
  ];
  return `${String(time).slice(11, 23)} ${LETTERS[String(level)] ?? "?"} ${words.join(" ")}\n`;
}

function formatValue(value: unknown): string {
  if (typeof value === "string") return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value);
}

function errorMessage(error: unknown): string | undefined {
  if (typeof error === "object" && error !== null && "message" in error)
    return String(error.message);
  return error === undefined ? undefined : formatValue(error);
}
