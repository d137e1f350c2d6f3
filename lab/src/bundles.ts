/**
 * Programs of this repository as one file each, which starts in a third of the time of its sources. They are made when a lab wants them and
 * kept until their sources change.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { LabError } from "./errors.ts";
import { type Clock, systemClock } from "./system/clock.ts";
import {
  digestTrees,
  fileExists,
  listDirectory,
  makeSiblingDirectory,
  markUsed,
  moveDirectory,
  readText,
  removeTree,
  surveyTrees,
  usedBefore,
  writeWhereAllowed,
} from "./system/files.ts";
import { nodeProgram, nodeRelease } from "./system/machine.ts";
import { run } from "./system/processes.ts";

export interface Bundle {
  /** As an error calls it. */
  readonly name: string;
  /** All that it is made of and by. Packages are as the lock file says. */
  readonly madeOf: readonly string[];
  /** Writes it into a directory: `node BUILD --out DIRECTORY`. */
  readonly build: string;
  /** Where a directory of each version is. */
  readonly cache: string;
  readonly program: string;
  /** What else to do where it cannot be made. */
  readonly remedy?: string;
}

/** Runs a bundle with compiled code that was kept. */
export const RUNNER: string = fileURLToPath(new URL("kept-code.cjs", import.meta.url));

/** A lab that is up for longer may find that the agent of a host cannot be started again. */
const KEPT_FOR_MS = 14 * 24 * 3600 * 1000;
const BUILD_TIMEOUT_MS = 180_000;
/** No file system takes times so far apart for one. */
const ONE_TIME_MS = 2000;

/** Where the bundle of the sources as they are now belongs: another byte in them, another place. */
export function placeOfBundle(
  bundle: Bundle,
  repository: string,
  clock: Clock = systemClock,
): string {
  return join(repository, bundle.cache, keyOf(bundle, repository, clock), bundle.program);
}

/**
 * Reading all sources takes longer than asking for their sizes and times, so the answer is kept beside the bundles. It is not where a source was
 * changed just now: it could change once more at what the file system takes for the same time.
 */
function keyOf({ madeOf, cache }: Bundle, repository: string, clock: Clock): string {
  const place = join(repository, `${cache}.key`);
  const { signature, changedAtMs } = surveyTrees(repository, madeOf);
  const known = `${nodeRelease()} ${signature} `;
  const kept = readText(place);
  if (kept?.startsWith(known) === true) {
    return kept.slice(known.length);
  }
  const key = digestTrees(repository, madeOf, nodeRelease());
  if (Date.parse(clock.isoTime()) - changedAtMs > ONE_TIME_MS) {
    writeWhereAllowed(place, `${known}${key}`);
  }
  return key;
}

/**
 * Makes the bundle that belongs in a place, unless it is there already.
 * @throws LabError "command-failed" with what the build said
 */
export async function makeBundle(
  bundle: Bundle,
  program: string,
  repository: string,
): Promise<void> {
  const place = dirname(program);
  if (!fileExists(program)) {
    await build(bundle, place, repository);
  }
  markUsed(place);
}

async function build(bundle: Bundle, place: string, repository: string): Promise<void> {
  const draft = makeSiblingDirectory(place);
  try {
    const argv = [nodeProgram(), join(repository, bundle.build), "--out", draft];
    const { exitCode, stderr } = await run(argv, { timeoutMs: BUILD_TIMEOUT_MS });
    if (exitCode !== 0) {
      const remedy = bundle.remedy === undefined ? "" : `; ${bundle.remedy}`;
      throw new LabError("command-failed", `cannot bundle ${bundle.name}${remedy}`, {
        evidence: stderr.trim().split("\n"),
      });
    }
    // What was read after a change must not be found under the name of what was there before.
    if (dirname(placeOfBundle(bundle, repository)) !== place) {
      const remedy = bundle.remedy === undefined ? "" : `, or ${bundle.remedy}`;
      throw new LabError(
        "command-failed",
        `the sources of ${bundle.name} changed while they were bundled: try again${remedy}`,
      );
    }
    moveDirectory(draft, place); // Where another process was first, its bundle is the same.
  } finally {
    removeTree(draft);
  }
  const others = listDirectory(dirname(place)).map((name) => join(dirname(place), name));
  for (const other of others.filter((path) => usedBefore(path, KEPT_FOR_MS))) {
    removeTree(other);
  }
}
