/**
 * Finds the native half (`addon/*.c`): inside the single executable, beside the bundle, prebuilt for this platform, or
 * compiled on first use into `build/`, keyed by what it is made from.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

declare const socketBrand: unique symbol;
declare const readerBrand: unique symbol;
declare const ringBrand: unique symbol;
declare const lineBrand: unique symbol;

/** A netlink socket of the addon; closed by it, at the latest when its environment ends. */
export interface SocketHandle {
  readonly [socketBrand]: true;
}

/** A socket that joined multicast groups, and the thread that reads it. */
export interface ReaderHandle {
  readonly [readerBrand]: true;
}

/** A socket that sees all packets of a namespace, and the memory that the kernel writes them into. */
export interface RingHandle {
  readonly [ringBrand]: true;
}

/** A TAP device, a socket, and the thread that carries frames from the one to the other. */
export interface LineHandle {
  readonly [lineBrand]: true;
}

/** What the addon offers. A number in place of a value is an errno. */
interface Addon {
  openSocket(
    protocol: number,
    namespace: string | null,
    receiveBufferBytes: number,
  ): SocketHandle | number;
  /** What the kernel calls it; 0 when it is closed. */
  socketPort(socket: SocketHandle): number;
  /** An exchange under way is finished first. */
  closeSocket(socket: SocketHandle): void;
  /**
   * Sends messages and returns what comes back, without acknowledgements. With `acknowledge`, asks
   * for one where needed to know the end; without, the one message is a dump and ends by itself.
   * The bytes must stay as they are until it is done.
   */
  exchange(
    socket: SocketHandle,
    messages: Uint8Array,
    acknowledge: boolean,
  ): Promise<Uint8Array | number>;
  exchangeSync(
    socket: SocketHandle,
    messages: Uint8Array,
    acknowledge: boolean,
  ): Uint8Array | number;
  /**
   * `wake` is called after something came that `takeEvents` has not taken.
   * @param ignoredPort the kernel tells nothing of messages of `ignoredTypes` that came from this port; 0 for none
   */
  openReader(
    protocol: number,
    namespace: string | null,
    groups: readonly number[],
    receiveBufferBytes: number,
    wake: () => void,
    ignoredPort: number,
    ignoredTypes: readonly number[],
  ): ReaderHandle | number;
  /** Everything since the last call; `errno` when nothing will come any more. */
  takeEvents(reader: ReaderHandle): {
    readonly bytes: Uint8Array;
    readonly overrun: boolean;
    readonly errno: number;
  };
  closeReader(reader: ReaderHandle): void;
  /** A ring of so many blocks of 128 packets. */
  openPacketRing(namespace: string | null, blocks: number): RingHandle | number;
  /** Gives the oldest packets back to the kernel, so that it has room for newer ones. */
  advancePacketRing(ring: RingHandle): void;
  /**
   * A copy of what is in the ring, oldest first: six 32-bit numbers in the machine's byte order (seconds, nanoseconds, link,
   * type, length, captured length), then the bytes captured.
   */
  readPacketRing(
    ring: RingHandle,
  ): { readonly bytes: Uint8Array; /** Since it was opened. */ readonly lost: number } | number;
  closePacketRing(ring: RingHandle): void;
  /**
   * Makes the TAP device `tap` and a thread that sends what is sent to it at `link`. The table is two 32-bit numbers in the
   * machine's byte order for each frame: microseconds, and a bit or all ones; after its last line comes its first again.
   * @param flags 1: past the link's queue; 2: with the source address of a group
   */
  openDelayLine(
    tap: string,
    link: string,
    namespace: string | null,
    mark: number,
    flags: number,
    table: Uint8Array,
  ): LineHandle | number;
  countDelayLine(line: LineHandle): {
    readonly received: number;
    readonly sent: number;
    readonly refused: number;
    readonly dropped: number;
  };
  /** What waits is sent at once; the device goes. */
  closeDelayLine(line: LineHandle): void;
  /** An open file of a new network namespace, or a negative errno. */
  createNamespace(): number;
  /** Makes the file and binds the namespace to it; an errno, or 0. */
  nameNamespace(descriptor: number, path: string): number;
  /** Undoes the binding; an errno, or 0. */
  unnameNamespace(path: string): number;
  /** Sends to a unix socket without waiting; `@` begins an abstract name. An errno, or 0. */
  sendDatagram(socket: string, text: string): number;
  /** Takes an exclusive lock without waiting; an errno, EWOULDBLOCK when another has it, or 0. */
  lockFile(descriptor: number): number;
  /**
   * What a table of legacy iptables holds, counters left out: `struct ipt_getinfo`, then its entries. Empty when it is not in use.
   * @param family AF_INET or AF_INET6
   */
  readLegacyTable(namespace: string | null, family: number, table: string): Uint8Array | number;
  /**
   * A descriptor bound to a port on all addresses of a namespace, or a negative errno.
   * @param family AF_INET or AF_INET6, which takes no IPv4
   */
  openUdpSocket(namespace: string | null, family: number, port: number): number;
  /** The same of a socket for echo requests and their answers. */
  openPingSocket(namespace: string | null, family: number): number;
}

/** The addon can be neither found nor made. */
export class AddonError extends Error {
  override readonly name = "AddonError";
}

/** A compiler that needs longer for a few small files hangs. */
const COMPILE_TIMEOUT_MS = 120_000;

const PACKAGE_DIRECTORY = dirname(import.meta.dirname);
const SOURCES_DIRECTORY = join(PACKAGE_DIRECTORY, "addon");
const FLAGS = [
  "-std=gnu11",
  "-O2",
  "-Wall",
  "-Wextra",
  "-fPIC",
  "-fvisibility=hidden",
  "-shared",
  "-pthread",
];

const require = createRequire(import.meta.url);

/** glibc's version is only reported where glibc is. */
function libc(): "glibc" | "musl" {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined ? "musl" : "glibc";
}

/** As a bundle is shipped: the program and this file in one directory. */
const SHIPPED_NAME = "linux.node";

function shippedPath(): string | undefined {
  const path = join(import.meta.dirname, SHIPPED_NAME);
  return existsSync(path) ? path : undefined;
}

/** Where a file can be written and run: many machines forbid the latter in /tmp. */
const EXTRACTION_DIRECTORIES = ["/run", "/dev/shm"];

/** The addon inside a single executable: the loader wants a file, which is gone as soon as it is mapped. Undefined elsewhere. */
function loadExtracted(): Addon | undefined {
  const sea = process.getBuiltinModule("node:sea");
  if (!sea.isSea()) return undefined;
  const bytes = new Uint8Array(sea.getRawAsset(SHIPPED_NAME));
  const refusals: string[] = [];
  for (const parent of [tmpdir(), ...EXTRACTION_DIRECTORIES]) {
    let directory: string | undefined;
    try {
      // Nobody else may enter it, so that nobody can put another file in its place.
      directory = mkdtempSync(join(parent, "flanneld-"));
      const path = join(directory, SHIPPED_NAME);
      writeFileSync(path, bytes, { mode: 0o700 });
      return require(path) as Addon;
    } catch (error) {
      refusals.push(error instanceof Error ? error.message : String(error));
    } finally {
      if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
    }
  }
  throw new AddonError(
    `cannot load ${SHIPPED_NAME} from a temporary file: ${refusals.join("; ")}; name a directory that programs may run from in TMPDIR`,
  );
}

function prebuiltPath(): string | undefined {
  const prebuilds = join(PACKAGE_DIRECTORY, "prebuilds");
  if (!existsSync(prebuilds)) return undefined;
  const path = join(prebuilds, `${process.platform}-${process.arch}-${libc()}`, "linux.node");
  return existsSync(path) ? path : undefined;
}

/** In an order that is the same everywhere. */
function sourceFiles(): readonly string[] {
  return readdirSync(SOURCES_DIRECTORY)
    .toSorted()
    .map((name) => join(SOURCES_DIRECTORY, name));
}

/** Compiles under a name of its own and renames it, so that processes doing the same never meet half a file. */
function compile(path: string, headers: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  // Only when it is needed: the module costs milliseconds of every start.
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const sources = sourceFiles().filter((file) => file.endsWith(".c"));
  const result = spawnSync("cc", [...FLAGS, "-I", headers, "-o", unfinished, ...sources], {
    encoding: "utf8",
    timeout: COMPILE_TIMEOUT_MS,
  });
  if (result.error === undefined && result.status === 0) {
    renameSync(unfinished, path);
    return;
  }
  rmSync(unfinished, { force: true });
  const said = result.error?.message ?? result.stderr.trim();
  throw new AddonError(
    `cannot compile ${SOURCES_DIRECTORY}: ${said}; install a C compiler (Debian: apt-get install gcc libc6-dev)`,
  );
}

/** The file compiled for this machine, made where it is not there yet. @throws AddonError */
export function builtPath(): string {
  if (!existsSync(SOURCES_DIRECTORY)) {
    const where = join(import.meta.dirname, SHIPPED_NAME);
    throw new AddonError(`there is no ${where}: it is shipped with the program and belongs there`);
  }
  const headers = join(dirname(require.resolve("node-api-headers/package.json")), "include");
  const hash = createHash("sha256");
  for (const file of sourceFiles()) hash.update(readFileSync(file));
  const key = hash
    .update(JSON.stringify([FLAGS, process.platform, process.arch]))
    .digest("hex")
    .slice(0, 16);
  const path = join(PACKAGE_DIRECTORY, "build", `linux-${process.arch}-${key}.node`);
  if (!existsSync(path)) compile(path, headers);
  return path;
}

let loaded: Addon | undefined;

/** The addon, found or compiled when first asked for. @throws AddonError */
export function loadAddon(): Addon {
  if (process.platform !== "linux") {
    throw new AddonError(`network namespaces and netlink are Linux's, this is ${process.platform}`);
  }
  loaded ??= loadExtracted() ?? (require(shippedPath() ?? prebuiltPath() ?? builtPath()) as Addon);
  return loaded;
}
