import { createSocket, type Socket } from "node:dgram";
import type { IpFamily } from "../addresses.ts";
import { LabError } from "../errors.ts";

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
  const { NetlinkError, openUdpSocket } = await import("linux");
  const namespace = `/proc/${pid}/ns/net`;
  const sockets = new Map<IpFamily, Socket>();
  try {
    for (const family of families) {
      const isIpv4 = family === "ipv4";
      const fd = openUdpSocket({ namespace, family: isIpv4 ? "inet" : "inet6", port });
      sockets.set(family, createSocket(isIpv4 ? "udp4" : "udp6").bind({ fd }));
    }
    return sockets;
  } catch (error) {
    closeAll(sockets);
    if (!(error instanceof NetlinkError)) {
      throw error;
    }
    throw new LabError("command-failed", `cannot open sockets in a pod: ${error.message}`);
  }
}

export function closeAll(sockets: ReadonlyMap<IpFamily, Socket>): void {
  sockets.forEach((socket) => {
    socket.close();
  });
}
