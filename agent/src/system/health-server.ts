import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { ListenOptions } from "node:net";
import { AgentError } from "../core/errors.ts";

/** What a page answers. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** By path. Made anew for each request, from values that are there: a page asks nobody. */
export type Pages = ReadonlyMap<string, AnswerMaker>;
export type AnswerMaker = () => Answer | Promise<Answer>;

/**
 * What strangers can take up of the agent: so many connections at once, each with headers of so many bytes that must have come
 * within so long; one that is silent for longer is closed.
 */
const CONNECTIONS_MAX = 64;
const HEADER_BYTES_MAX = 8_192;
const REQUEST_MS_MAX = 5_000;
const SILENT_MS_MAX = 30_000;

/** Answers probes, scrapes and operators; only GET and HEAD. */
export class HealthServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens before it resolves. @throws AgentError "listen-failed" */
  static async open(address: string, port: number, pages: Pages): Promise<HealthServer> {
    try {
      return await HealthServer.listen({ host: address, port }, pages);
    } catch (cause) {
      const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
      throw new AgentError(
        "listen-failed",
        `cannot listen for health checks on ${address} port ${port}: ${reason}; choose another -healthz-ip or -healthz-port`,
        { cause },
      );
    }
  }

  /** Rejects with the system's own error. */
  static async listen(where: ListenOptions, pages: Pages): Promise<HealthServer> {
    const server = createServer(
      {
        maxHeaderSize: HEADER_BYTES_MAX,
        headersTimeout: REQUEST_MS_MAX,
        requestTimeout: REQUEST_MS_MAX,
        connectionsCheckingInterval: REQUEST_MS_MAX,
      },
      (request, response) => void answer(request, response, pages),
    );
    server.maxConnections = CONNECTIONS_MAX;
    server.setTimeout(SILENT_MS_MAX);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(where, () => {
        server.off("error", reject);
        resolve();
      });
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

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  pages: Pages,
): Promise<void> {
  const { status, type, body } = await answerTo(request, pages);
  // Whatever else was sent is not waited for.
  const rest = status === 405 ? { connection: "close", allow: "GET, HEAD" } : {};
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    ...rest,
  });
  response.end(body);
}

async function answerTo({ method, url = "/" }: IncomingMessage, pages: Pages): Promise<Answer> {
  if (method !== "GET" && method !== "HEAD") return text(405, "405 method not allowed\n");
  const [path = "/"] = url.split("?");
  const page = pages.get(path);
  if (page === undefined) return text(404, "404 page not found\n");
  try {
    return await page();
  } catch (error) {
    // Whoever asks must not be able to end the agent.
    return text(500, `${error instanceof Error ? error.message : String(error)}\n`);
  }
}

function text(status: number, body: string): Answer {
  return { status, type: "text/plain; charset=utf-8", body };
}
