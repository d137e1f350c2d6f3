import { AgentError } from "../../core/errors.ts";

/** The history asked for is no longer kept: read everything again, then watch from there. */
export class CompactedError extends AgentError {
  /** The oldest revision that is still kept. */
  readonly compactRevision: number;

  constructor(fromRevision: number, compactRevision: number) {
    super(
      "store-unavailable",
      `cannot watch from revision ${fromRevision}: compacted up to ${compactRevision}`,
      { retryable: true },
    );
    this.compactRevision = compactRevision;
  }
}

/** What was asked of the store, and why there was no answer. */
export function storeUnavailable(
  doing: string,
  endpoint: string,
  cause: unknown,
  options: { readonly retryable: boolean; readonly remedy?: string } = { retryable: true },
): AgentError {
  const { retryable, remedy } = options;
  const message = `cannot ${doing}: etcd at ${endpoint}: ${reasonOf(cause)}`;
  return new AgentError(
    "store-unavailable",
    remedy === undefined ? message : `${message}; ${remedy}`,
    { retryable, cause },
  );
}

/** The program closed its own connection: nobody waits for that to change. */
export function storeClosed(doing: string): AgentError {
  return new AgentError("store-unavailable", `cannot ${doing}: the connection to etcd is closed`);
}

/** A write named a lease that the store no longer has. */
export function leaseGone(doing: string, cause?: unknown): AgentError {
  return new AgentError("lease-lost", `cannot ${doing}: its etcd lease has run out`, {
    retryable: true,
    cause,
  });
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
