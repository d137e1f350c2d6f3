import { closeSync, openSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";

/** The only place of the lab that knows sockets: JSON values, one a line, over a unix socket. */
export interface Connection {
  send(value: unknown): void;
  onValue(receive: (value: unknown) => void): void;
  onClose(closed: () => void): void;
  close(): void;
}

/**
 * A path to `directory/name` of a few bytes: a unix socket's path holds no more than 108, a run directory's may.
 * Valid while the directory is open.
 */
export function openShortPath(
  directory: string,
  name: string,
): { path: string; close: () => void } {
  const descriptor = openSync(directory, "r");
  return {
    path: join("/proc/self/fd", String(descriptor), name),
    close: () => {
      closeSync(descriptor);
    },
  };
}

/** Listens on a socket in a directory that only its owner may enter. */
export async function listen(
  directory: string,
  name: string,
  accept: (connection: Connection) => void,
): Promise<void> {
  const { path } = openShortPath(directory, name);
  const server = createServer((socket) => {
    accept(connectionOf(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
}

/** Undefined when nobody listens. */
export async function dial(directory: string, name: string): Promise<Connection | undefined> {
  let short;
  try {
    short = openShortPath(directory, name);
  } catch (error) {
    if (isAbsence(error)) {
      return undefined;
    }
    throw error;
  }
  const { path, close } = short;
  try {
    return await new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("connect", () => {
        resolve(connectionOf(socket));
      });
      socket.once("error", (error) => {
        if (isAbsence(error)) {
          resolve(undefined);
        } else {
          reject(error);
        }
      });
    });
  } finally {
    close();
  }
}

function isAbsence(error: unknown): boolean {
  const codes = ["ENOENT", "ECONNREFUSED", "ENOTDIR"];
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

function connectionOf(socket: Socket): Connection {
  let rest = "";
  const receivers: ((value: unknown) => void)[] = [];
  socket.setEncoding("utf8");
  socket.on("error", () => socket.destroy()); // "close" follows, and that is what the ends look at.
  socket.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const value: unknown = JSON.parse(line);
      for (const receive of receivers) {
        receive(value);
      }
    }
  });
  return {
    send: (value) => void socket.write(`${JSON.stringify(value)}\n`),
    onValue: (receive) => void receivers.push(receive),
    onClose: (closed) => void socket.once("close", closed),
    close: () => void socket.destroy(),
  };
}
