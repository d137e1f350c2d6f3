import type { CallOptions, Lab } from "./lab.ts";
import { type FromSupervisor, isToSupervisor, toWireError } from "./protocol.ts";
import type { Connection } from "./system/socket.ts";

/** Serves a lab to one connection until that closes; then its running calls are aborted. */
export function serveLab(lab: Lab, connection: Connection): void {
  const running = new Map<number, AbortController>();
  const answer = (value: FromSupervisor): void => {
    connection.send(value);
  };
  connection.onClose(() => {
    for (const controller of running.values()) {
      controller.abort();
    }
  });
  connection.onValue((value) => {
    if (!isToSupervisor(value)) {
      connection.close();
      return;
    }
    const { id } = value;
    if ("abort" in value) {
      running.get(id)?.abort();
      return;
    }
    const controller = new AbortController();
    running.set(id, controller);
    const options: CallOptions = {
      signal: controller.signal,
      onProgress: (progress) => {
        answer({ id, progress });
      },
    };
    void callMethod(lab, value.method, value.request, options)
      .then(
        (result) => {
          answer({ id, result });
        },
        (error: unknown) => {
          answer({ id, error: toWireError(error) });
        },
      )
      .finally(() => running.delete(id));
  });
}

async function callMethod(
  lab: Lab,
  method: keyof Lab,
  request: unknown,
  options: CallOptions,
): Promise<unknown> {
  // The two ends are one program of one version: the request has the type its method wants.
  const call = lab[method].bind(lab) as (
    request: unknown,
    options: CallOptions,
  ) => Promise<unknown>;
  return call(request, options);
}
