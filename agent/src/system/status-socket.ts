/** The unix socket over which an agent tells the commands of its own binary what it knows of itself: HTTP, for the owner only. */
import { lstat, mkdir, rm } from "node:fs/promises";
import { get } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { AgentError } from "../core/errors.ts";
import { HealthServer } from "./health-server.ts";
import type { Pages } from "./health-server.ts";

/** Read and written by the owner alone; whoever may not write cannot connect. Source: unix(7). */
const NOBODY_ELSE = 0o177;
/** An agent answers within milliseconds unless it is stopped or the machine is. */
const ANSWER_MS_MAX = 5_000;
/** Ten thousand peers with all their kernel objects are about 8 MB. */
const ANSWER_BYTES_MAX = 256 << 20;

/**
 * Listens on a socket that nobody else listens on: one that a killed predecessor left is replaced, one of a living agent is not.
 * The file goes with the server.
 * @throws AgentError "listen-failed"
 */
export async function openStatusSocket(path: string, pages: Pages): Promise<AsyncDisposable> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    if (await isListening(path)) throw new Error("another agent listens there");
    await removeDeadSocket(path);
    return await listenForOwner(path, pages);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError("listen-failed", `cannot listen on ${path}: ${reason}`, { cause });
  }
}

/** Removes the socket that a killed agent left, and says whether there was one; a file of another kind stays. */
export async function removeDeadSocket(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket() !== true || (await isListening(path))) return false;
  await rm(path, { force: true });
  return true;
}

/** Node binds before the call returns, so that the mode is right from the first moment. */
function listenForOwner(path: string, pages: Pages): Promise<HealthServer> {
  const before = process.umask(NOBODY_ELSE);
  try {
    return HealthServer.listen({ path }, pages);
  } finally {
    process.umask(before);
  }
}

/** The body of a page of the agent that listens there, undefined where none does. @throws AgentError "agent-silent" */
export async function askStatusSocket(path: string, page: string): Promise<string | undefined> {
  try {
    return await body(path, page);
  } catch (cause) {
    if (isNobody(cause)) return undefined;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError("agent-silent", `the agent behind ${path} does not answer: ${reason}`, {
      cause,
    });
  }
}

function body(path: string, page: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    const request = get({ socketPath: path, path: page, signal, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > ANSWER_BYTES_MAX) request.destroy(new Error("the answer is too long"));
      });
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${response.statusCode} ${text.trim()}`));
      });
    });
    request.on("error", (error) =>
      reject(signal.aborted ? new Error(`nothing within ${ANSWER_MS_MAX / 1_000} s`) : error),
    );
  });
}

/** Whether a living process has this socket, also one that is stopped. */
function isListening(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => {
      if (isNobody(error)) resolve(false);
      else reject(error);
    });
  });
}

/** No such file, or one that no process listens on any more. */
function isNobody(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  return error.code === "ENOENT" || error.code === "ENOTDIR" || error.code === "ECONNREFUSED";
}
