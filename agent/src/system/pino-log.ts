import pino from "pino";
import type { Log, LogData } from "./log.ts";
import { formatLogLine } from "./log-text.ts";

export interface LogOptions {
  /** The least level written. */
  readonly level: "error" | "warn" | "info" | "debug";
  /** JSON for machines, text for people. */
  readonly format: "json" | "text";
}

/** Paths whose values never reach a log line. */
const SECRETS = [
  "password",
  "*.password",
  "privateKey",
  "*.privateKey",
  "psk",
  "*.psk",
  "token",
  "*.token",
];

/** Lines on standard error, as the reference writes them there; each is complete when the call returns. */
export function openLog(options: LogOptions): Log {
  const stderr = pino.destination({ dest: 2, sync: true });
  const stream =
    options.format === "json"
      ? stderr
      : { write: (line: string) => stderr.write(formatLogLine(line)) };
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRETS, censor: "(redacted)" },
    },
    stream,
  );
  return wrap(logger);
}

function wrap(logger: pino.Logger): Log {
  return {
    error: (data: LogData, message: string) => logger.error(data, message),
    warn: (data: LogData, message: string) => logger.warn(data, message),
    info: (data: LogData, message: string) => logger.info(data, message),
    debug: (data: LogData, message: string) => logger.debug(data, message),
    child: (data: LogData) => wrap(logger.child({ ...data })),
  };
}
