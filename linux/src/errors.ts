import { constants } from "node:os";

/** A value that cannot be written as a netlink message, or bytes that cannot be read as one. */
export class CodecError extends Error {
  override readonly name = "CodecError";
  /** As the kernel names a value that it cannot take. */
  readonly code = "EINVAL";
}

/** EAGAIN and EOPNOTSUPP have second names with the same number; these are the kernel's. */
const CODES: ReadonlyMap<number, string> = new Map([
  ...Object.entries(constants.errno).map(([code, errno]): [number, string] => [errno, code]),
  [constants.errno.EAGAIN, "EAGAIN"],
  [constants.errno.EOPNOTSUPP, "EOPNOTSUPP"],
]);

/** The name of an errno, `ERRNO_<number>` when it has none in userspace. Source: errno(3). */
export function codeOf(errno: number): string {
  return CODES.get(errno) ?? `ERRNO_${errno}`;
}

/** What the kernel refused, and in which words. */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  /** Name of the errno: `EEXIST`. */
  readonly code: string;
  readonly errno: number;
  /** The kernel's own sentence, where it gave one. Source: linux/netlink.h NLMSGERR_ATTR_MSG. */
  readonly detail: string | undefined;

  /** @param what what was being done, `put route 10.42.2.0/24 via 10.42.2.0` */
  constructor(what: string, errno: number, detail?: string) {
    const code = codeOf(errno);
    super(`cannot ${what}: ${code}${detail === undefined ? "" : ` (${detail})`}`);
    this.code = code;
    this.errno = errno;
    this.detail = detail;
  }
}
