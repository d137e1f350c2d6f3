import { join } from "node:path";
import { messageOf } from "../errors.ts";
import { makeDirectory, writeBytes, writeText } from "../system/files.ts";
import type { NamedViolation } from "./invariant-watch.ts";

/** Something that is to be kept as it was when a violation was seen. */
export interface EvidenceSource {
  /** The file's name: `n1.log`, `store.json`. */
  readonly file: string;
  readonly read: () => string | Promise<string | Uint8Array>;
}

/** The last packets, in the folder of a violation. */
export const PACKETS_FILE = "packets.pcapng";

/** The end of each text that is kept. */
const MAX_CHARACTERS = 4 * 1024 * 1024;

/**
 * Writes what all sources say now into a folder of its own below the run's, and returns the files, relative to the run's
 * folder. A source that fails says so in its file: missing evidence must not look like none.
 */
export async function freezeEvidence(
  runDirectory: string,
  number: number,
  violation: NamedViolation,
  sources: readonly EvidenceSource[],
): Promise<readonly string[]> {
  const folder = join("evidence", `${number}-${violation.id.replaceAll(/[^A-Za-z0-9]/g, "")}`);
  makeDirectory(join(runDirectory, folder));
  const all: readonly EvidenceSource[] = [
    { file: "violation.json", read: () => `${JSON.stringify(violation, undefined, 2)}\n` },
    ...sources,
  ];
  return Promise.all(
    all.map(async ({ file, read }) => {
      const name = join(folder, file.replaceAll(/[^\w.-]/g, "_"));
      const content = await readOrExplain(read);
      if (typeof content === "string") {
        writeText(join(runDirectory, name), content.slice(-MAX_CHARACTERS));
      } else {
        writeBytes(join(runDirectory, name), content);
      }
      return name;
    }),
  );
}

async function readOrExplain(read: EvidenceSource["read"]): Promise<string | Uint8Array> {
  try {
    return await read();
  } catch (error) {
    return `could not be read: ${messageOf(error)}\n`;
  }
}
