import { loadAddon } from "./addon.ts";
import { NetlinkError } from "./errors.ts";

/**
 * Sends one datagram to a unix socket and does not wait for room in it. `@` begins the name of an abstract socket.
 * @throws NetlinkError ENOENT or ECONNREFUSED when nobody listens, EAGAIN when its queue is full
 * Source: unix(7)
 */
export function sendDatagram(socket: string, text: string): void {
  const errno = loadAddon().sendDatagram(socket, text);
  if (errno !== 0) throw new NetlinkError(`send a datagram to ${socket}`, errno);
}
