import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { constants } from "node:os";
import { afterEach, expect, test } from "vitest";
import { changeLink } from "./link.ts";
import { NetlinkError } from "./errors.ts";
import { NetworkNamespace } from "./namespaces.ts";
import { RouteSocket } from "./route-socket.ts";
import { linkNamed, must } from "./testing/fixture.ts";
import { requires } from "./testing/requires.ts";
import { openUdpSocket } from "./udp-socket.ts";

const PORT = 41_000;
const LOOPBACK = { inet: "127.0.0.1", inet6: "::1" } as const;
const TYPES = { inet: "udp4", inet6: "udp6" } as const;

requires("netns")("UDP sockets in other namespaces", () => {
  const opened: Socket[] = [];

  afterEach(() => {
    for (const socket of opened.splice(0)) socket.close();
  });

  function socketIn(path: string, family: "inet" | "inet6", port: number): Socket {
    const socket = createSocket(TYPES[family]);
    opened.push(socket.bind({ fd: openUdpSocket({ namespace: path, family, port }) }));
    return socket;
  }

  async function withLoopback(): Promise<NetworkNamespace> {
    const namespace = NetworkNamespace.create();
    using socket = RouteSocket.open({ namespace: namespace.path });
    const { index } = await linkNamed(socket, "lo");
    await must(socket, changeLink({ index }, { up: true }));
    return namespace;
  }

  test.each(["inet", "inet6"] as const)(
    "reach each other there, and nobody here (%s)",
    async (family) => {
      using there = await withLoopback();
      using elsewhere = await withLoopback();
      const receiver = socketIn(there.path, family, PORT);
      const stranger = socketIn(elsewhere.path, family, PORT);
      let misled = 0;
      stranger.on("message", () => (misled += 1));
      const sender = socketIn(there.path, family, 0);
      const heard = once(receiver, "message");
      sender.send("hello", PORT, LOOPBACK[family]);
      const [text, { address, port }] = (await heard) as [
        Buffer,
        { address: string; port: number },
      ];
      expect(text.toString()).toBe("hello");
      expect(address).toBe(LOOPBACK[family]);
      expect(port).toBe(sender.address().port);
      expect(misled).toBe(0);
    },
  );

  test("take a port once in each namespace and family", () => {
    using there = NetworkNamespace.create();
    socketIn(there.path, "inet", PORT);
    socketIn(there.path, "inet6", PORT);
    const again = (): number =>
      openUdpSocket({ namespace: there.path, family: "inet", port: PORT });
    expect(again).toThrow(
      new NetlinkError(`open UDP port ${PORT} in ${there.path}`, constants.errno.EADDRINUSE),
    );
  });

  test("say which namespace there is not", () => {
    const open = (): number =>
      openUdpSocket({ namespace: "/proc/self/ns/none", family: "inet", port: 0 });
    expect(open).toThrow(
      new NetlinkError("open UDP port 0 in /proc/self/ns/none", constants.errno.ENOENT),
    );
  });
});
