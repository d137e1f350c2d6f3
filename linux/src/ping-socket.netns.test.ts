import { execFileSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { constants } from "node:os";
import { afterEach, expect, test } from "vitest";
import { NetlinkError } from "./errors.ts";
import { changeLink } from "./link.ts";
import { NetworkNamespace } from "./namespaces.ts";
import { openPingSocket } from "./ping-socket.ts";
import { RouteSocket } from "./route-socket.ts";
import { linkNamed, must } from "./testing/fixture.ts";
import { requires } from "./testing/requires.ts";

/** Source: RFC 792 and RFC 4443, echo request and echo reply. */
const CASES = {
  inet: { type: "udp4", loopback: "127.0.0.1", request: 8, reply: 0 },
  inet6: { type: "udp6", loopback: "::1", request: 128, reply: 129 },
} as const;
const SEQUENCE = 7;
const ALLOW = 'echo "0 0" > /proc/sys/net/ipv4/ping_group_range';
/** Ping sockets take no notice of it. */
const ANY_PORT = 9;

requires("netns")("ping sockets in other namespaces", () => {
  const opened: Socket[] = [];

  afterEach(() => {
    for (const socket of opened.splice(0)) socket.close();
  });

  async function withLoopback(): Promise<NetworkNamespace> {
    const namespace = NetworkNamespace.create();
    using socket = RouteSocket.open({ namespace: namespace.path });
    const { index } = await linkNamed(socket, "lo");
    await must(socket, changeLink({ index }, { up: true }));
    return namespace;
  }

  test.each(["inet", "inet6"] as const)(
    "hear the answers to their own questions, and to no others' (%s)",
    async (family) => {
      const { type, loopback, request, reply } = CASES[family];
      using namespace = await withLoopback();
      execFileSync("nsenter", [`--net=${namespace.path}`, "sh", "-c", ALLOW]);
      const open = (): Socket => {
        const socket = createSocket(type);
        opened.push(socket.bind({ fd: openPingSocket({ namespace: namespace.path, family }) }));
        return socket;
      };
      const ask = (socket: Socket, said: string): Promise<unknown[]> => {
        const header = Buffer.from([request, 0, 0, 0, 0, 0, 0, SEQUENCE]);
        const heard = once(socket, "message");
        socket.send(Buffer.concat([header, Buffer.from(said)]), ANY_PORT, loopback);
        return heard;
      };
      const heard = [ask(open(), "mine"), ask(open(), "other")];
      const answers = (await Promise.all(heard)) as [Buffer][];
      expect(
        answers.map(([answer]) => ({
          kind: answer[0],
          sequence: answer.readUInt16BE(6),
          said: answer.subarray(8).toString(),
        })),
      ).toEqual([
        { kind: reply, sequence: SEQUENCE, said: "mine" },
        { kind: reply, sequence: SEQUENCE, said: "other" },
      ]);
    },
  );

  test("are for groups that the namespace lets have them", () => {
    using namespace = NetworkNamespace.create();
    expect(() => openPingSocket({ namespace: namespace.path, family: "inet" })).toThrow(
      new NetlinkError(`open a ping socket in ${namespace.path}`, constants.errno.EACCES),
    );
  });

  test("say which namespace there is not", () => {
    const namespace = "/proc/self/ns/none";
    expect(() => openPingSocket({ namespace, family: "inet" })).toThrow(
      new NetlinkError(`open a ping socket in ${namespace}`, constants.errno.ENOENT),
    );
  });
});
