import { LabError, messageOf } from "../errors.ts";
import { EVENT_SHAPES } from "./event-shapes.ts";
import type { RunEvent } from "./events.ts";

/** What a log said, and whether its writer was cut off in the middle of a line. */
export interface EventLog {
  readonly events: readonly RunEvent[];
  /** The last line was not whole, as after `kill -9`; it is left out. */
  readonly torn: boolean;
}

/** One event as the line to append, newline included. @throws LabError "lab-broke" for an event that no reader would take */
export function formatEventLine(event: RunEvent): string {
  const complaint = complaintAbout(event);
  if (complaint !== undefined) {
    throw new LabError("lab-broke", `this event would not be read again: ${complaint}`);
  }
  return `${JSON.stringify(event)}\n`;
}

/**
 * Reads a log strictly: every whole line must be an event of this version, the first one `run-started` and no other, and
 * time must not go back. Only a last line without its newline is forgiven.
 * @throws LabError "wrong-state" that names the line
 */
export function parseEventLog(content: string, name: string): EventLog {
  const lines = content.split("\n");
  const torn = lines.pop() !== "";
  const events: RunEvent[] = [];
  for (const [index, line] of lines.entries()) {
    const found = parseLine(line);
    const complaint = typeof found === "string" ? found : orderComplaint(events, found);
    if (complaint !== undefined || typeof found === "string") {
      throw new LabError("wrong-state", `${name}, line ${index + 1}: ${complaint}`);
    }
    events.push(found);
  }
  return { events, torn };
}

/** The event, or what is wrong with the line. */
function parseLine(line: string): RunEvent | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return `no JSON: ${messageOf(error)}`;
  }
  return complaintAbout(value) ?? (value as RunEvent);
}

function complaintAbout(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !("type" in value)) {
    return "no object with a type";
  }
  const { type } = value;
  if (typeof type !== "string" || !isKnown(type)) {
    return `unknown type ${JSON.stringify(type)}`;
  }
  return EVENT_SHAPES[type].complaint(value, type);
}

function isKnown(type: string): type is RunEvent["type"] {
  return Object.hasOwn(EVENT_SHAPES, type);
}

function orderComplaint(before: readonly RunEvent[], event: RunEvent): string | undefined {
  const last = before.at(-1);
  if ((last === undefined) !== (event.type === "run-started")) {
    return last === undefined ? `begins with ${event.type}` : "a second run-started";
  }
  return last !== undefined && event.at < last.at
    ? `goes back from ${last.at} to ${event.at} ms`
    : undefined;
}
