/** What etcd answers when it does not do what it was asked, told apart by gRPC's status and by etcd's own words. */

/** In the order of their numbers. Source: grpc doc/statuscodes.md. */
const STATUSES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

export type GrpcStatus = (typeof STATUSES)[number];

/** A call that did not go well, and whose fault it is. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  readonly status: GrpcStatus;

  constructor(status: GrpcStatus, details: string) {
    super(`${status}: ${details}`);
    this.status = status;
  }
}

/** A number that no status has counts as unknown. */
export function statusOf(number: string): GrpcStatus {
  return STATUSES[Number(number)] ?? "UNKNOWN";
}

/** The request names an etcd lease that the store no longer has. Source: etcd api/v3rpc/rpctypes/error.go ErrGRPCLeaseNotFound. */
export function isLeaseGone(error: unknown): boolean {
  return textOf(error).includes("requested lease not found");
}

/** The server understood and will never do it: asking again, here or at another endpoint, changes nothing. */
export function isPointless(error: unknown): boolean {
  return (
    error instanceof GrpcError &&
    (error.status === "INVALID_ARGUMENT" || error.status === "UNIMPLEMENTED")
  );
}

/** The server did nothing because of the token, or the lack of one: a new token may help. */
export function isTokenRefused(error: unknown): boolean {
  // Source: rpctypes ErrGRPCInvalidAuthToken, ErrGRPCUserEmpty, ErrGRPCAuthOldRevision.
  return /invalid auth token|user name is empty|revision of auth store is old/.test(textOf(error));
}

/** The server knows no users: everybody may do everything. Source: rpctypes ErrGRPCAuthNotEnabled. */
export function isAuthenticationOff(error: unknown): boolean {
  return textOf(error).includes("authentication is not enabled");
}

/** What an operator must change, or undefined: who we are is not who may do this. Source: rpctypes ErrGRPCAuthFailed and the like. */
export function refusalRemedy(error: unknown): string | undefined {
  const text = textOf(error);
  if (text.includes("authentication failed, invalid user ID or password"))
    return "check --etcd-username and --etcd-password";
  if (
    text.includes("etcdserver: permission denied") ||
    (error instanceof GrpcError && error.status === "PERMISSION_DENIED")
  )
    return "grant the etcd user of this node read and write on the prefix";
  if (text.includes("user name is empty"))
    return "etcd asks for a user: give --etcd-username and --etcd-password";
  return undefined;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : "";
}
