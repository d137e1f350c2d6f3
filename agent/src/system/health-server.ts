import { createServer } from "node:http";
import type { Server } from "node:http";
import { AgentError } from "../core/errors.ts";

/** Answers whether the agent is alive and whether it is ready. Source: spec 01 section 7. */
export class HealthServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens before it resolves. @throws AgentError "listen-failed" */
  static async open(address: string, port: number, isReady: () => boolean): Promise<HealthServer> {
    const server = createServer((request, response) => {
      const { status, body } = answer(request.url ?? "/", isReady());
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
      response.end(body);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => reject(refused(address, port, cause)));
      server.listen(port, address, resolve);
    });
    return new HealthServer(server);
  }

  /** The port listened on; the kernel's choice when 0 was asked for. */
  get port(): number {
    const bound = this.#server.address();
    return typeof bound === "object" && bound !== null ? bound.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

function answer(url: string, ready: boolean): { status: number; body: string } {
  switch (url.split("?")[0]) {
    case "/healthz":
      return { status: 200, body: "flanneld is running" };
    case "/readyz":
      return ready
        ? { status: 200, body: "flanneld is ready" }
        : { status: 503, body: "flanneld is not ready yet" };
    default:
      return { status: 404, body: "404 page not found\n" };
  }
}

function refused(address: string, port: number, cause: Error): AgentError {
  const reason = "code" in cause ? String(cause.code) : cause.message;
  return new AgentError(
    "listen-failed",
    `cannot listen for health checks on ${address} port ${port}: ${reason}; choose another -healthz-ip or -healthz-port`,
    { cause },
  );
}
