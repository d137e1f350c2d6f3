import { closeSync, constants, mkdirSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { loadAddon } from "./addon.ts";
import { CodecError, NetlinkError } from "./errors.ts";

/** Where ip-netns(8) keeps the names. */
const NAMES_DIRECTORY = "/run/netns";

/** NAME_MAX. Source: linux/limits.h. */
const MAX_NAME_BYTES = 255;

/**
 * A network namespace held open by this process. One made by `create` has no name anywhere: it ends
 * with the process, or when it is closed and the last process, socket and mount in it is gone.
 */
export class NetworkNamespace {
  readonly descriptor: number;
  /** A path that opens it while it is held: for RouteSocket, and for `nsenter --net=PATH`. */
  readonly path: string;
  #closed = false;

  private constructor(descriptor: number) {
    this.descriptor = descriptor;
    this.path = `/proc/${process.pid}/fd/${descriptor}`;
  }

  /** Makes a namespace with nothing in it but a loopback link that is down. @throws NetlinkError */
  static create(): NetworkNamespace {
    const descriptor = loadAddon().createNamespace();
    if (descriptor < 0) throw new NetlinkError("create a network namespace", -descriptor);
    return new NetworkNamespace(descriptor);
  }

  /** Opens `/run/netns/NAME` or `/proc/PID/ns/net`. @throws Error of node:fs */
  static open(path: string): NetworkNamespace {
    return new NetworkNamespace(openSync(path, constants.O_RDONLY));
  }

  /** The namespace a process lives in. @throws Error of node:fs */
  static ofProcess(pid: number): NetworkNamespace {
    return NetworkNamespace.open(`/proc/${pid}/ns/net`);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.descriptor);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function namePath(name: string, directory: string): string {
  const bytes = new TextEncoder().encode(name).length;
  if (bytes === 0 || bytes > MAX_NAME_BYTES || /[/\0]/.test(name) || /^\.\.?$/.test(name)) {
    throw new CodecError(`${JSON.stringify(name)} is not a name for a network namespace`);
  }
  return join(directory, name);
}

/**
 * Makes a namespace that lives until its name is removed, and returns its path. Equivalent to
 * `ip netns add NAME`.
 * @throws NetlinkError EEXIST when the name is taken; nothing is left behind
 */
export function createNamedNamespace(name: string, directory: string = NAMES_DIRECTORY): string {
  const path = namePath(name, directory);
  using namespace = NetworkNamespace.create();
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const errno = loadAddon().nameNamespace(namespace.descriptor, path);
  if (errno !== 0) throw new NetlinkError(`name a network namespace ${path}`, errno);
  return path;
}

/**
 * Removes a name; the namespace ends with the last process in it. Equivalent to `ip netns delete NAME`.
 * @throws NetlinkError EINVAL when the name is no namespace's, ENOENT when there is none
 */
export function removeNamedNamespace(name: string, directory: string = NAMES_DIRECTORY): void {
  const path = namePath(name, directory);
  const errno = loadAddon().unnameNamespace(path);
  if (errno !== 0) throw new NetlinkError(`remove the network namespace ${path}`, errno);
  rmSync(path);
}
