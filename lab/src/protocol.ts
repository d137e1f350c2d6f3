import { LabError, type LabErrorCode, messageOf } from "./errors.ts";
import { LAB_METHODS, type Lab, type Progress } from "./lab.ts";

/**
 * What crosses the supervisor's socket, one JSON value a line. Requests run side by side; `id` pairs them with answers.
 *
 *     ► {id, method, request}   ◄ {id, progress} …   ◄ {id, result} or {id, error}
 *     ► {id, abort: true}       aborts the call's signal
 */
export type ToSupervisor =
  | { readonly id: number; readonly method: keyof Lab; readonly request: unknown }
  | { readonly id: number; readonly abort: true };

export type FromSupervisor =
  | { readonly id: number; readonly progress: Progress }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: WireError };

/** A LabError as data. */
export interface WireError {
  readonly code: LabErrorCode;
  readonly message: string;
  readonly evidence: readonly string[];
}

/** Whether a value off the socket can be served; anything else ends the connection. */
export function isToSupervisor(value: unknown): value is ToSupervisor {
  if (typeof value !== "object" || value === null || !("id" in value)) {
    return false;
  }
  if (typeof value.id !== "number") {
    return false;
  }
  if ("abort" in value) {
    return value.abort === true;
  }
  return (
    "method" in value &&
    LAB_METHODS.some((method) => method === value.method) &&
    "request" in value &&
    typeof value.request === "object" &&
    value.request !== null
  );
}

/** Anything thrown as data; what is no LabError is a bug of the lab. */
export function toWireError(error: unknown): WireError {
  if (error instanceof LabError) {
    return { code: error.code, message: error.message, evidence: error.evidence };
  }
  if (error instanceof Error && error.name === "AbortError") {
    return { code: "interrupted", message: "interrupted", evidence: [] };
  }
  const stack = error instanceof Error ? (error.stack ?? "").split("\n") : [];
  return { code: "lab-broke", message: messageOf(error), evidence: stack };
}
