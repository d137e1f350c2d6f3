import { LabError } from "./errors.ts";
import { type CallOptions, LAB_METHODS, type Lab } from "./lab.ts";
import type { FromSupervisor, ToSupervisor } from "./protocol.ts";
import { runFiles } from "./run-directory.ts";
import { type Connection, dial } from "./system/socket.ts";

/** A lab in another process. Closing ends the connection, not the lab. */
export interface LabConnection {
  readonly lab: Lab;
  close(): void;
}

interface Pending {
  readonly call: CallOptions;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Connects to the supervisor of a run directory.
 * @throws LabError "not-running"
 */
export async function connectLab(runDirectory: string): Promise<LabConnection> {
  const connection = await dial(runDirectory, runFiles(runDirectory).socketName);
  if (connection === undefined) {
    throw new LabError("not-running", `no lab is running in ${runDirectory}`);
  }
  const caller = new Caller(connection);
  const methods = LAB_METHODS.map((method) => [
    method,
    (request: unknown, call?: CallOptions) => caller.call(method, request, call),
  ]);
  return {
    // Both ends are the same program: LAB_METHODS are the methods of Lab, and each answers with its own result.
    lab: Object.fromEntries(methods) as Lab,
    close: () => {
      connection.close();
    },
  };
}

class Caller {
  readonly #connection: Connection;
  readonly #pending: Map<number, Pending> = new Map();
  #lastId = 0;
  #closed = false;

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.onValue((value) => {
      this.#receive(value as FromSupervisor);
    });
    connection.onClose(() => {
      this.#closed = true;
      for (const { reject } of this.#pending.values()) {
        reject(new LabError("not-running", "the lab ended during the call"));
      }
      this.#pending.clear();
    });
  }

  async call(method: keyof Lab, request: unknown, call: CallOptions = {}): Promise<unknown> {
    if (this.#closed) {
      throw new LabError("not-running", "the lab has ended");
    }
    this.#lastId += 1;
    const id = this.#lastId;
    const abort = (): void => {
      this.#send({ id, abort: true });
    };
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { call, resolve, reject });
    });
    this.#send({ id, method, request });
    call.signal?.addEventListener("abort", abort, { once: true });
    if (call.signal?.aborted === true) {
      abort();
    }
    try {
      return await answer;
    } finally {
      call.signal?.removeEventListener("abort", abort);
    }
  }

  #send(value: ToSupervisor): void {
    this.#connection.send(value);
  }

  #receive(value: FromSupervisor): void {
    const pending = this.#pending.get(value.id);
    if (pending === undefined) {
      return;
    }
    if ("progress" in value) {
      pending.call.onProgress?.(value.progress);
      return;
    }
    this.#pending.delete(value.id);
    if ("error" in value) {
      const { code, message, evidence } = value.error;
      pending.reject(new LabError(code, message, { evidence }));
    } else {
      pending.resolve(value.result);
    }
  }
}
