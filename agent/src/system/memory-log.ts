import type { Log, LogData } from "./log.ts";

export interface LogLine {
  readonly level: "error" | "warn" | "info" | "debug";
  readonly data: LogData;
  readonly message: string;
}

/** Keeps every line for a test to look at; children write into the same list. */
export class MemoryLog implements Log {
  readonly lines: LogLine[];
  readonly #bound: LogData;

  constructor(lines: LogLine[] = [], bound: LogData = {}) {
    this.lines = lines;
    this.#bound = bound;
  }

  error(data: LogData, message: string): void {
    this.#add("error", data, message);
  }

  warn(data: LogData, message: string): void {
    this.#add("warn", data, message);
  }

  info(data: LogData, message: string): void {
    this.#add("info", data, message);
  }

  debug(data: LogData, message: string): void {
    this.#add("debug", data, message);
  }

  child(data: LogData): Log {
    return new MemoryLog(this.lines, { ...this.#bound, ...data });
  }

  #add(level: LogLine["level"], data: LogData, message: string): void {
    this.lines.push({ level, data: { ...this.#bound, ...data }, message });
  }
}
