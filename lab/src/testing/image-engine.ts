/** Builds and runs the image of deploy/ as `docker build` and `docker run` do, over the Engine API. Source: Docker Engine API 1.41. */
import { UnixHttp, type UnixHttpRequest } from "../system/unix-http.ts";

const GOOD_STATUSES = 299;

/** What a container is made with, beside its image. Names are those of the Docker Engine API. */
export interface ContainerRun {
  readonly Cmd: readonly string[];
  readonly HostConfig?: Readonly<Record<string, unknown>>;
}

export interface BuildPlan {
  /** Of the context, which has the image file in it. */
  readonly tarFile: string;
  readonly imageFile: string;
  readonly tag: string;
  readonly arguments: Readonly<Record<string, string>>;
}

export class ImageEngine {
  readonly #http: UnixHttp;

  constructor(directory: string) {
    this.#http = new UnixHttp(directory, "docker.sock");
  }

  /** Equivalent to `docker import FILE NAME`. */
  async importImage(tarFile: string, name: string): Promise<void> {
    const path = `/images/create?fromSrc=-&repo=${name}&tag=latest`;
    const said = await this.#ask({ method: "POST", path, tarFile });
    if (said.includes('"error"')) throw new Error(`docker import ${name}: ${said}`);
  }

  /** Equivalent to `docker build --network none --file FILE --build-arg … --tag TAG - < TAR`. Returns what it said. */
  async build({ tarFile, imageFile, tag, arguments: given }: BuildPlan): Promise<string> {
    const query = new URLSearchParams({
      dockerfile: imageFile,
      t: tag,
      networkmode: "none",
      rm: "true",
      forcerm: "true",
      buildargs: JSON.stringify(given),
    });
    const answer = await this.#ask({ method: "POST", path: `/build?${query.toString()}`, tarFile });
    // The status is sent before the work is done: how it ended is in the last line.
    const lines = answer
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { readonly stream?: string; readonly error?: string });
    const said = lines.map(({ stream, error }) => stream ?? error ?? "").join("");
    if (lines.some(({ error }) => error !== undefined)) throw new Error(`docker build: ${said}`);
    return said;
  }

  /** Bytes, all layers together. */
  async sizeOf(image: string): Promise<number> {
    const { Size: size } = await this.#json<{ readonly Size: number }>(`/images/${image}/json`);
    return size;
  }

  /** Equivalent to `docker run --detach --tty`. Returns the container's id. */
  async start(image: string, run: ContainerRun): Promise<string> {
    const body = { Image: image, Tty: true, ...run };
    const made = await this.#ask({ method: "POST", path: "/containers/create", body });
    const { Id: id } = JSON.parse(made) as { readonly Id: string };
    await this.#ask({ method: "POST", path: `/containers/${id}/start` });
    return id;
  }

  /** Equivalent to `docker kill --signal SIGNAL`. */
  async signal(id: string, signal: NodeJS.Signals): Promise<void> {
    await this.#ask({ method: "POST", path: `/containers/${id}/kill?signal=${signal}` });
  }

  async isRunning(id: string): Promise<boolean> {
    const path = `/containers/${id}/json`;
    const { State: state } = await this.#json<{ readonly State: { readonly Running: boolean } }>(
      path,
    );
    return state.Running;
  }

  /** Waits for its end: its exit code, and all that it wrote. */
  async outcome(id: string): Promise<{ readonly exitCode: number; readonly text: string }> {
    const waited = await this.#ask({ method: "POST", path: `/containers/${id}/wait` });
    const { StatusCode: exitCode } = JSON.parse(waited) as { readonly StatusCode: number };
    return { exitCode, text: await this.said(id) };
  }

  /** What it wrote so far. */
  async said(id: string): Promise<string> {
    const path = `/containers/${id}/logs?stdout=true&stderr=true`;
    return (await this.#ask({ method: "GET", path })).replaceAll("\r\n", "\n");
  }

  close(): void {
    this.#http.close();
  }

  async #json<T>(path: string): Promise<T> {
    return JSON.parse(await this.#ask({ method: "GET", path })) as T;
  }

  async #ask(request: UnixHttpRequest): Promise<string> {
    const { status, text } = await this.#http.ask(request);
    if (status > GOOD_STATUSES) throw new Error(`Docker: ${request.path}: ${status} ${text}`);
    return text;
  }
}
