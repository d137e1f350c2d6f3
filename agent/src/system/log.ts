/** Words for the event, data beside it. error = a person must act, warn = we cope, info = state changed, debug = every call. */
export interface Log {
  error(data: LogData, message: string): void;
  warn(data: LogData, message: string): void;
  info(data: LogData, message: string): void;
  debug(data: LogData, message: string): void;
  /** A logger that adds `data` to every line; one per room. */
  child(data: LogData): Log;
}

/** An error belongs under `err`; secrets nowhere. */
export type LogData = Readonly<Record<string, unknown>>;
