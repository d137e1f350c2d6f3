import { EtcdLeaseInvalidError, GRPCInvalidArgumentError, GRPCNotImplementedError } from "etcd3";

/** The request names an etcd lease that the store no longer has. */
export function isLeaseGone(error: unknown): boolean {
  return error instanceof EtcdLeaseInvalidError;
}

/** The server understood and will never do it: asking again, here or at another endpoint, changes nothing. */
export function isPointless(error: unknown): boolean {
  return error instanceof GRPCInvalidArgumentError || error instanceof GRPCNotImplementedError;
}
