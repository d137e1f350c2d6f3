import { LabError } from "../../errors.ts";
import { UnixHttp, type UnixHttpAnswer, type UnixHttpRequest } from "../../system/unix-http.ts";

/** A container to be made. Units and names are those of the Docker Engine API. */
export interface ContainerWish {
  readonly Image: string;
  readonly Hostname: string;
  readonly Cmd: readonly string[];
  readonly Env: readonly string[];
  readonly HostConfig: Readonly<Record<string, unknown>>;
}

/** A program in a container, as its daemon keeps it. */
export interface StartedExec {
  /** As the daemon sees it. */
  readonly pid: number;
  /** Its exit code, 128 and more for a signal; undefined when the daemon ended before. */
  readonly exited: Promise<number | undefined>;
}

const GOOD_STATUSES = 299;

/**
 * The few words of the Docker Engine API that the lab needs, without a version: a daemon answers with its newest.
 * Source: Docker Engine API 1.41, https://docs.docker.com/reference/api/engine/
 */
export class Engine {
  readonly #http: UnixHttp;
  /** Those whose programs run, by the id of the exec. */
  readonly #running: Map<string, (exitCode: number | undefined) => void> = new Map();

  constructor(directory: string, socketName: string) {
    this.#http = new UnixHttp(directory, socketName);
  }

  /** Whether a daemon answers. */
  async answers(): Promise<boolean> {
    try {
      return (await this.#http.ask({ method: "GET", path: "/_ping" })).text === "OK";
    } catch (error) {
      if (error instanceof LabError) {
        return false;
      }
      throw error;
    }
  }

  async version(): Promise<string> {
    return String(memberOf(await this.#json({ method: "GET", path: "/version" }), "Version"));
  }

  /** Where the daemon keeps images and containers: overlay2, or something slower. */
  async storageDriver(): Promise<string> {
    return String(memberOf(await this.#json({ method: "GET", path: "/info" }), "Driver"));
  }

  /** Begins to hear of programs that end. Once, before the first is started. */
  async listen(): Promise<void> {
    const filters = JSON.stringify({ type: ["container"], event: ["exec_die"] });
    await this.#http.follow(
      `/events?filters=${encodeURIComponent(filters)}`,
      (line) => {
        const attributes = memberOf(memberOf(JSON.parse(line), "Actor"), "Attributes");
        const end = this.#running.get(String(memberOf(attributes, "execID")));
        end?.(Number(memberOf(attributes, "exitCode")));
      },
      () => {
        for (const end of this.#running.values()) {
          end(undefined);
        }
      },
    );
  }

  /** Makes an image of a root file system. Equivalent to `docker import FILE NAME`. */
  async importImage(tarFile: string, name: string): Promise<void> {
    const path = `/images/create?fromSrc=-&repo=${name}&tag=latest`;
    const { text } = await this.#ask({ method: "POST", path, tarFile });
    // The status is sent before the work is done: a failure is in the last line.
    const trouble = /"error":"([^"]*)"/.exec(text)?.[1];
    if (trouble !== undefined) {
      throw new LabError("lab-broke", `Docker cannot import the image of the hosts: ${trouble}`);
    }
  }

  /** Makes a container, named as its host, and starts it. Returns its id, and the process id of its first process. */
  async run(wish: ContainerWish): Promise<{ readonly id: string; readonly pid: number }> {
    const path = `/containers/create?name=${wish.Hostname}`;
    const created = await this.#json({ method: "POST", path, body: wish });
    const id = String(memberOf(created, "Id"));
    await this.#ask({ method: "POST", path: `/containers/${id}/start` });
    const container = await this.#json({ method: "GET", path: `/containers/${id}/json` });
    return { id, pid: pidOf(memberOf(container, "State")) };
  }

  /** Ends what the container runs, and removes it. */
  async remove(id: string): Promise<void> {
    await this.#ask({ method: "DELETE", path: `/containers/${id}?force=true&v=true` });
  }

  /** Equivalent to `docker exec --detach ID ARGV`, but that the end is noticed. */
  async exec(
    container: string,
    argv: readonly string[],
    environment: readonly string[],
  ): Promise<StartedExec> {
    const created = await this.#json({
      method: "POST",
      path: `/containers/${container}/exec`,
      body: { Cmd: argv, Env: environment },
    });
    const id = String(memberOf(created, "Id"));
    const exited = new Promise<number | undefined>((resolve) => {
      this.#running.set(id, (exitCode) => {
        this.#running.delete(id);
        resolve(exitCode);
      });
    });
    try {
      await this.#ask({
        method: "POST",
        path: `/exec/${id}/start`,
        body: { Detach: true, Tty: false },
      });
      return {
        pid: pidOf(await this.#json({ method: "GET", path: `/exec/${id}/json` })),
        exited,
      };
    } catch (error) {
      this.#running.delete(id);
      throw error;
    }
  }

  close(): void {
    this.#http.close();
  }

  async #json(request: UnixHttpRequest): Promise<unknown> {
    return JSON.parse((await this.#ask(request)).text);
  }

  /** @throws LabError "command-failed" with what the daemon says */
  async #ask(request: UnixHttpRequest): Promise<UnixHttpAnswer> {
    const answer = await this.#http.ask(request);
    if (answer.status <= GOOD_STATUSES) {
      return answer;
    }
    const said = /"message":"((?:[^"\\]|\\.)*)"/.exec(answer.text)?.[1] ?? answer.text;
    throw new LabError("command-failed", `Docker: ${request.method} ${request.path}: ${said}`);
  }
}

function pidOf(state: unknown): number {
  const pid = memberOf(state, "Pid");
  if (typeof pid !== "number" || pid < 1) {
    throw new LabError("command-failed", "Docker says no process id of what it started");
  }
  return pid;
}

/** Undefined where there is no such member. */
function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
