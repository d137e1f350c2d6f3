import type { Socket } from "node:dgram";
import { readdirSync, readFileSync } from "node:fs";
import { requires } from "linux/testing";
import { expect, it } from "vitest";
import { openAnchor } from "../hosts/anchor.ts";
import { openPingSocketIn, openSocketsIn } from "./pod-sockets.ts";

const SCRIPT = "ip link set lo up && echo ready && exec sleep infinity";
const ALLOW_PINGS = "echo 0 0 > /proc/sys/net/ipv4/ping_group_range";
const PORT = 41_923;

/** Processes that this one started and that have not ended, or whose end it has not been told of. Source: proc(5), task/tid/children. */
function children(): readonly string[] {
  return readdirSync("/proc/self/task").flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").trim().split(" "),
  );
}

function nextPacket(socket: Socket | undefined): Promise<string> {
  return new Promise((resolve) => {
    socket?.once("message", (packet: Buffer) => {
      resolve(packet.toString("utf8"));
    });
  });
}

requires("netns")("sockets in a pod", () => {
  it("are held by nobody else: who opened them would take packets from whoever is to read them", async () => {
    const pod = await openAnchor(SCRIPT, []);
    const before = children();
    const sockets = await openSocketsIn(pod.pid, PORT, ["ipv4", "ipv6"]);
    const after = children();
    try {
      expect(after).toEqual(before);
      const [ipv4, ipv6] = [sockets.get("ipv4"), sockets.get("ipv6")];
      const packets = [nextPacket(ipv4), nextPacket(ipv6)];
      ipv4?.send("four", PORT, "127.0.0.1");
      ipv6?.send("six", PORT, "::1");
      expect(await Promise.all(packets)).toEqual(["four", "six"]);
    } finally {
      sockets.forEach((socket) => socket.close());
      await pod.close();
    }
  });

  it("have room for the answers to a second of a probe, as far as the kernel allows", async () => {
    const pod = await openAnchor(`${ALLOW_PINGS} && ${SCRIPT}`, []);
    const socket = await openPingSocketIn(pod.pid, "ipv4");
    try {
      const allowed = Number(readFileSync("/proc/sys/net/core/rmem_max", "utf8"));
      // The kernel counts twice what it was asked for. Source: socket(7), SO_RCVBUF.
      expect(socket.getRecvBufferSize()).toBe(2 * Math.min(1024 * 1024, allowed));
    } finally {
      socket.close();
      await pod.close();
    }
  });
});
