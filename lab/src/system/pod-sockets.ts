import { spawn } from "node:child_process";
import { Socket } from "node:dgram";
import { enterNamespaces } from "../../hosts/anchor.ts";
import { LabError } from "../../errors.ts";
import { nodeProgram, SEARCH_PATH } from "../../system/machine.ts";

/**
 * Binds a UDP socket of each type given after the port, hands each to the parent over the IPC channel, and goes when the
 * parent lets go. A socket stays in the network namespace where it was made, whoever holds it: so one process probes
 * from every pod, and no pod needs a process of its own.
 */
const OPENER_SCRIPT = `
const [port, ...types] = process.argv.slice(1);
process.on("disconnect", () => process.exit(0));
for (const type of types) {
  const socket = require("node:dgram").createSocket({ type, ipv6Only: type === "udp6" });
  socket.on("error", (error) => { console.error(error.message); process.exit(1); });
  socket.bind(Number(port), () => process.send({ type }, socket));
}
`;

export type SocketType = "udp4" | "udp6";

/**
 * UDP sockets in the namespaces of a process, bound to a port on all addresses.
 * @throws LabError "command-failed" when they cannot be made
 */
export async function openSocketsIn(
  pid: number,
  port: number,
  types: readonly SocketType[],
): Promise<ReadonlyMap<SocketType, Socket>> {
  const [command = "", ...argv] = enterNamespaces(pid, [
    nodeProgram(),
    "--eval",
    OPENER_SCRIPT,
    String(port),
    ...types,
  ]);
  const child = spawn(command, argv, {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { ...process.env, PATH: SEARCH_PATH },
  });
  const sockets = new Map<SocketType, Socket>();
  let complaint = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    complaint += chunk.toString("utf8");
  });
  const complete = Promise.withResolvers<undefined>();
  child.on("message", (message, handle) => {
    const type = types.find((one) => Reflect.get(Object(message), "type") === one);
    if (type !== undefined && handle instanceof Socket) {
      sockets.set(type, handle);
    }
    if (sockets.size === types.length) {
      complete.resolve(undefined);
    }
  });
  const fail = (): void => {
    const why = complaint.trim().split("\n", 1)[0] ?? "";
    complete.reject(
      new LabError("command-failed", `cannot open sockets in a pod of process ${pid}: ${why}`),
    );
  };
  child.once("error", fail);
  child.once("close", fail);
  try {
    await complete.promise;
  } catch (error) {
    sockets.forEach((socket) => {
      socket.close();
    });
    throw error;
  }
  child.disconnect();
  return sockets;
}
