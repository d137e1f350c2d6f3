/** What a caller can act on; details belong in the message and the cause. */
export type AgentErrorCode =
  | "config-invalid"
  | "config-missing"
  /** Something was begun with a config that is not the cluster's any more. */
  | "config-changed"
  | "external-interface-not-found"
  | "subnet-exhausted"
  | "lease-lost"
  | "store-unavailable"
  | "kernel-refused"
  | "file-unusable"
  | "program-missing"
  | "command-failed"
  | "listen-failed"
  | "already-running"
  /** Words that are no flags of ours, or no values of theirs: the list of flags helps. */
  | "flags-unreadable"
  | "agent-silent"
  | "agent-running"
  | "options-invalid";

/** An operating error: something outside the program is wrong, and the message says what, where and the remedy. */
export class AgentError extends Error {
  override readonly name = "AgentError";
  readonly code: AgentErrorCode;
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;

  constructor(
    code: AgentErrorCode,
    message: string,
    options: { readonly retryable?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** Said by whatever needs it, so that the sentence is the same everywhere. */
export const CAPABILITY_REMEDY =
  "the agent needs the capability CAP_NET_ADMIN: run it as root, or in a container with NET_ADMIN";
