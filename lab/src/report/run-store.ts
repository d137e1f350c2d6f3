import { dirname, join, resolve } from "node:path";
import { LabError } from "../errors.ts";
import { fileExists, listDirectory, makeDirectory, readText, appendText } from "../system/files.ts";
import { formatEventLine, parseEventLog, type EventLog } from "./event-log.ts";
import type { RunEvent } from "./events.ts";
import { type Story, tellStory } from "./story.ts";

/** The name of a run's event log in the run's folder. */
export const EVENT_LOG_FILE = "run.jsonl";

/** A microsecond in milliseconds: more digits say nothing. */
const DIGITS_PER_MS = 1000;

/** Appends to a run's event log. Every line is in the file before the next event can happen. */
export class EventLogWriter {
  readonly file: string;
  #lastAt = 0;
  readonly #listeners: readonly ((event: RunEvent) => void)[];

  /** The listeners are told of each event after it is in the file. */
  constructor(runDirectory: string, listeners: readonly ((event: RunEvent) => void)[] = []) {
    this.file = join(runDirectory, EVENT_LOG_FILE);
    this.#listeners = listeners;
    makeDirectory(dirname(this.file));
  }

  /**
   * The log's time never goes back: an event that is told late gets the time of the one before it.
   * @throws LabError "lab-broke" for an event that no reader would take
   */
  append(event: RunEvent): void {
    const at = Math.max(this.#lastAt, Math.round(event.at * DIGITS_PER_MS) / DIGITS_PER_MS);
    const stamped = { ...event, at };
    appendText(this.file, formatEventLine(stamped));
    this.#lastAt = at;
    for (const listener of this.#listeners) {
      listener(stamped);
    }
  }
}

/** @throws LabError "wrong-state" when a line is no event, "usage" when there is no such file */
export function readEventLog(file: string): EventLog {
  const text = readText(file);
  if (text === undefined) {
    throw new LabError("usage", `there is no event log ${file}`);
  }
  return parseEventLog(text, file);
}

/**
 * The event logs that a path means: a log itself, the log in a run's folder, or those of all runs in a folder of runs.
 * @throws LabError "usage" when it means none
 */
export function findEventLogs(path: string): readonly string[] {
  if (path.endsWith(".jsonl") && fileExists(path)) {
    return [path];
  }
  const own = join(path, EVENT_LOG_FILE);
  if (fileExists(own)) {
    return [own];
  }
  const found = listDirectory(path)
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .map((name) => join(path, name, EVENT_LOG_FILE))
    .filter(fileExists);
  if (found.length === 0) {
    throw new LabError("usage", `${path} is no event log, no run and no folder of runs`);
  }
  return found;
}

/** The runs that a path means, gathered. @throws LabError as `findEventLogs` and `readEventLog` */
export function readStories(path: string): readonly Story[] {
  return findEventLogs(path).map((file) => tellStory(readEventLog(file), dirname(resolve(file))));
}
