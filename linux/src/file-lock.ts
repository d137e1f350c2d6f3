import { constants } from "node:os";
import { loadAddon } from "./addon.ts";
import { NetlinkError } from "./errors.ts";

/**
 * Locks an open file for this process alone, until its last descriptor is closed. False when another one has the lock.
 * Equivalent to `flock --nonblock FILE`.
 * @throws NetlinkError ENOLCK, or EOPNOTSUPP on a file system without locks
 * Source: flock(2)
 */
export function lockFile(descriptor: number): boolean {
  const errno = loadAddon().lockFile(descriptor);
  if (errno !== 0 && errno !== constants.errno.EWOULDBLOCK)
    throw new NetlinkError(`lock file descriptor ${descriptor}`, errno);
  return errno === 0;
}
