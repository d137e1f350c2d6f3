import type { Clock } from "../../system/clock.ts";
import { fileVersion, readText } from "../../system/files.ts";
import type { FileSighting } from "../sightings.ts";

/** How often each file is looked at. A file that is written twice between two looks is read once. */
const LOOK_EVERY_MS = 20;

export interface SubnetFileWatchOptions {
  readonly clock: Clock;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  readonly see: (sighting: FileSighting) => void;
}

/** Reads subnet.env of each host at each change. */
export class SubnetFileWatch {
  readonly #options: SubnetFileWatchOptions;
  readonly #files: Map<string, { readonly path: string; version: string | undefined }> = new Map();

  constructor(options: SubnetFileWatchOptions) {
    this.#options = options;
  }

  /** From now on. What is in the file already is the word of nobody who runs: a host's name may have been another's. */
  add(host: string, path: string): void {
    this.#files.set(host, { path, version: fileVersion(path) });
  }

  remove(host: string): void {
    this.#files.delete(host);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.look();
      await this.#options.clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  look(): void {
    for (const [host, file] of this.#files) {
      const version = fileVersion(file.path);
      if (version !== file.version) {
        file.version = version;
        const { now, see } = this.#options;
        see({ witness: "file", kind: "changed", at: now(), host, text: readText(file.path) });
      }
    }
  }
}
