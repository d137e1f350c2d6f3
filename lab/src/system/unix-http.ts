import { createReadStream } from "node:fs";
import { type IncomingMessage, request } from "./node-http.ts";
import { LabError, messageOf } from "../errors.ts";
import { openShortPath } from "./socket.ts";

/** What a server on a unix socket answered. */
export interface UnixHttpAnswer {
  readonly status: number;
  readonly text: string;
}

export interface UnixHttpRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** A tar(1) file whose content is sent. */
  readonly tarFile?: string;
}

/** HTTP to a server that listens on a unix socket in a directory, which is kept open. */
export class UnixHttp {
  readonly #socketPath: string;
  readonly #closeDirectory: () => void;

  constructor(directory: string, name: string) {
    const { path, close } = openShortPath(directory, name);
    this.#socketPath = path;
    this.#closeDirectory = close;
  }

  /** @throws LabError "lab-broke" when there is no whole answer */
  async ask(asked: UnixHttpRequest): Promise<UnixHttpAnswer> {
    const what = `${asked.method} ${asked.path}`;
    try {
      const answer = await this.#send(asked);
      const chunks: Buffer[] = [];
      for await (const chunk of answer) {
        chunks.push(chunk as Buffer);
      }
      return { status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") };
    } catch (error) {
      throw new LabError("lab-broke", `${what}: ${messageOf(error)}`, { cause: error });
    }
  }

  /**
   * Gives each line of an answer that does not end by itself. `ended` is called once, when nobody sends any more.
   * @throws LabError "lab-broke" when there is no answer
   */
  async follow(path: string, line: (text: string) => void, ended: () => void): Promise<void> {
    const answer = await this.#send({ method: "GET", path }).catch((error: unknown) => {
      throw new LabError("lab-broke", `GET ${path}: ${messageOf(error)}`, { cause: error });
    });
    let rest = "";
    answer.setEncoding("utf8");
    answer.on("error", () => undefined); // "close" follows.
    answer.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      lines.filter((one) => one !== "").forEach(line);
    });
    answer.once("close", ended);
  }

  /** Lets go of the directory: nothing can be asked any more. */
  close(): void {
    this.#closeDirectory();
  }

  #send({ method, path, body, tarFile }: UnixHttpRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const type = tarFile === undefined ? "application/json" : "application/x-tar";
      const sending = request({
        socketPath: this.#socketPath,
        method,
        path,
        agent: false,
        headers: { host: "unix", "content-type": type },
      });
      sending.once("response", resolve);
      sending.once("error", reject);
      if (tarFile === undefined) {
        sending.end(body === undefined ? undefined : JSON.stringify(body));
      } else {
        createReadStream(tarFile).once("error", reject).pipe(sending);
      }
    });
  }
}
