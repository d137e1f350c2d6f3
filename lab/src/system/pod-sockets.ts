import { createSocket, type Socket } from "node:dgram";
import type { IpFamily } from "../addresses.ts";
import { LabError } from "../errors.ts";

/** Answers that were on their way come all the same while this process does something else. The kernel may allow less. */
const PING_BUFFER_BYTES = 1024 * 1024;

/**
 * A UDP socket of each family in the network namespace of a process, bound to a port on all addresses. A socket stays where it was made,
 * whoever holds it: so one process speaks for every pod.
 * @throws LabError "command-failed" when they cannot be made
 */
export async function openSocketsIn(
  pid: number,
  port: number,
  families: readonly IpFamily[],
): Promise<ReadonlyMap<IpFamily, Socket>> {
  const { openUdpSocket } = await import("linux");
  const sockets = new Map<IpFamily, Socket>();
  try {
    for (const family of families) {
      const open = (): number => openUdpSocket({ ...placeOf(pid, family), port });
      sockets.set(family, await opened(family, {}, open));
    }
    return sockets;
  } catch (error) {
    closeAll(sockets);
    throw error;
  }
}

/**
 * A socket in the network namespace of a process for echo requests, ICMP messages whose identifier and checksum the kernel fills in, and
 * the answers to them.
 * @throws LabError "command-failed" when it cannot be made
 */
export async function openPingSocketIn(pid: number, family: IpFamily): Promise<Socket> {
  const { openPingSocket } = await import("linux");
  const options = { recvBufferSize: PING_BUFFER_BYTES };
  return opened(family, options, () => openPingSocket(placeOf(pid, family)));
}

export function closeAll(sockets: ReadonlyMap<IpFamily, Socket>): void {
  sockets.forEach((socket) => {
    socket.close();
  });
}

function placeOf(
  pid: number,
  family: IpFamily,
): { readonly namespace: string; readonly family: "inet" | "inet6" } {
  return { namespace: `/proc/${pid}/ns/net`, family: family === "ipv4" ? "inet" : "inet6" };
}

async function opened(
  family: IpFamily,
  options: { readonly recvBufferSize?: number },
  open: () => number,
): Promise<Socket> {
  const { NetlinkError } = await import("linux");
  const type = family === "ipv4" ? "udp4" : "udp6";
  try {
    return createSocket({ type, ...options }).bind({ fd: open() });
  } catch (error) {
    if (!(error instanceof NetlinkError)) {
      throw error;
    }
    throw new LabError("command-failed", `cannot open sockets in a pod: ${error.message}`);
  }
}
