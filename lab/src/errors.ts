/** What a caller can act on; the words are in the message. */
export type LabErrorCode =
  | "usage"
  | "requirement-missing"
  | "already-running"
  | "not-running"
  | "unknown-host"
  | "wrong-state"
  | "agent-ended"
  | "timed-out"
  | "unreachable"
  | "store-refused"
  | "command-failed"
  | "interrupted"
  | "lab-broke";

const EXIT_USAGE = 64;
const EXIT_LAB_BROKE = 70;
const EXIT_INTERRUPTED = 130;

/** The one error of the lab. `evidence` are lines worth printing under the message: a log's tail, the failing pairs. */
export class LabError extends Error {
  override readonly name = "LabError";
  readonly code: LabErrorCode;
  readonly evidence: readonly string[];

  constructor(
    code: LabErrorCode,
    message: string,
    options: { evidence?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.evidence = options.evidence ?? [];
  }
}

/** The exit code of the command line for an error: 64 usage, 130 interrupted, 70 the lab itself broke, else 1. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof LabError)) {
    return EXIT_LAB_BROKE;
  }
  switch (error.code) {
    case "usage":
      return EXIT_USAGE;
    case "lab-broke":
      return EXIT_LAB_BROKE;
    case "interrupted":
      return EXIT_INTERRUPTED;
    default:
      return 1;
  }
}

/** The text of anything thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
