import type { Clock } from "../../system/clock.ts";
import { fileVersion, readTextFrom } from "../../system/files.ts";
import type { StoreRequestSeen } from "../sightings.ts";
import { parseStoreRequest } from "./store-request.ts";

const LOOK_EVERY_MS = 100;

export interface StoreLogWatchOptions {
  readonly clock: Clock;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  /** One a member, whose log is at level `debug`. */
  readonly logs: readonly string[];
  readonly see: (sighting: StoreRequestSeen) => void;
}

/** Reads what the store's members tell of the requests that they answered, whichever client they are of. */
export class StoreLogWatch {
  readonly #options: StoreLogWatchOptions;
  readonly #logs: {
    readonly path: string;
    version: string | undefined;
    offset: number;
    rest: string;
  }[];

  constructor(options: StoreLogWatchOptions) {
    this.#options = options;
    this.#logs = options.logs.map((path) => ({
      path,
      version: undefined,
      offset: 0,
      rest: "",
    }));
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.look();
      await this.#options.clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  /** What was written since the last time. */
  look(): void {
    for (const log of this.#logs) {
      const version = fileVersion(log.path);
      const found = version === log.version ? undefined : readTextFrom(log.path, log.offset);
      if (found === undefined) {
        continue;
      }
      // One that has more than is read at once is looked at again.
      log.version = found.end === log.offset ? version : undefined;
      log.offset = found.end;
      const lines = (log.rest + found.text).split("\n");
      log.rest = lines.pop() ?? "";
      lines.forEach((line) => {
        this.#tell(line);
      });
    }
  }

  #tell(line: string): void {
    const request = parseStoreRequest(line);
    if (request !== undefined) {
      const { now, see } = this.#options;
      see({ witness: "request", kind: "asked", at: now(), request });
    }
  }
}
