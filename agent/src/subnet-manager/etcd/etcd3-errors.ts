import {
  EtcdAuthenticationFailedError,
  EtcdInvalidAuthTokenError,
  EtcdLeaseInvalidError,
  EtcdPermissionDeniedError,
  GRPCInvalidArgumentError,
  GRPCNotImplementedError,
} from "etcd3";

/** The request names an etcd lease that the store no longer has. */
export function isLeaseGone(error: unknown): boolean {
  return error instanceof EtcdLeaseInvalidError;
}

/** The server understood and will never do it: asking again, here or at another endpoint, changes nothing. */
export function isPointless(error: unknown): boolean {
  return error instanceof GRPCInvalidArgumentError || error instanceof GRPCNotImplementedError;
}

/** The server did nothing because of the token, or the lack of one: a new token may help. */
export function isTokenRefused(error: unknown): boolean {
  if (error instanceof EtcdInvalidAuthTokenError) return true;
  // Source: etcd api/v3rpc/rpctypes/error.go ErrGRPCUserEmpty, ErrGRPCAuthOldRevision.
  return /user name is empty|revision of auth store is old/.test(textOf(error));
}

/** The server knows no users: everybody may do everything. Source: rpctypes ErrGRPCAuthNotEnabled. */
export function isAuthenticationOff(error: unknown): boolean {
  return textOf(error).includes("authentication is not enabled");
}

/** What an operator must change, or undefined: who we are is not who may do this. */
export function refusalRemedy(error: unknown): string | undefined {
  if (error instanceof EtcdAuthenticationFailedError)
    return "check --etcd-username and --etcd-password";
  if (error instanceof EtcdPermissionDeniedError)
    return "grant the etcd user of this node read and write on the prefix";
  if (textOf(error).includes("user name is empty"))
    return "etcd asks for a user: give --etcd-username and --etcd-password";
  return undefined;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : "";
}
