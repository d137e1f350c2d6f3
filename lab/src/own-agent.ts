/**
 * This repository's own agent: bundled, because a bundle starts in a third of the time of its sources. The lab runs the build and then
 * the program, and imports neither.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { LabError } from "./errors.ts";
import {
  digestTrees,
  fileExists,
  listDirectory,
  makeSiblingDirectory,
  markUsed,
  moveDirectory,
  removeTree,
  usedBefore,
} from "./system/files.ts";
import { nodeProgram, nodeRelease, repositoryDirectory } from "./system/machine.ts";
import { run } from "./system/processes.ts";

const REPOSITORY = repositoryDirectory();

/** All that the bundle is made of and by. Packages are as the lock file says. */
const MADE_OF = [
  "agent/package.json",
  "agent/src",
  "linux/addon",
  "linux/package.json",
  "linux/src",
  "pnpm-lock.yaml",
  "shipping/package.json",
  "shipping/src",
];
const BUILD = "shipping/src/main.ts";
const SOURCE = "agent/src/main.ts";
const CACHE = "node_modules/.cache/flanneld";
const PROGRAM = "flanneld.cjs";
/**
 * Node reads the certificates of all authorities that it comes with as soon as a program loads `node:http2`. The agent never asks for them by
 * default: it names whom it trusts. Source: `node --help`; agent/src/subnet-manager/etcd/etcd3-credentials.ts.
 */
const NO_BUNDLED_AUTHORITIES = "--use-openssl-ca";
/** Runs it with compiled code that was kept. */
const RUNNER = fileURLToPath(new URL("kept-code.cjs", import.meta.url));

/** A lab that is up for longer may find that the agent of a host cannot be started again. */
const KEPT_FOR_MS = 14 * 24 * 3600 * 1000;
const BUILD_TIMEOUT_MS = 180_000;

/** Where the bundle of the sources as they are now belongs: another byte in them, another place. */
export function bundlePlace(repository: string = REPOSITORY): string {
  const key = digestTrees(repository, MADE_OF, nodeRelease());
  return join(repository, CACHE, key, PROGRAM);
}

let found: readonly string[] | undefined;

/**
 * Our agent as a command line; `buildOwnAgent` makes what it names. It is started, never imported. A process that asks again gets
 * the same answer, so that all hosts of a lab run the same program.
 */
export function defaultFlanneld(): readonly string[] {
  found ??= [nodeProgram(), NO_BUNDLED_AUTHORITIES, RUNNER, bundlePlace()];
  return found;
}

/**
 * Makes the bundle that a command line names, unless it is there already. Any other program is none of our business.
 * @throws LabError "command-failed" with what the build said
 */
export async function buildOwnAgent(
  argv: readonly string[],
  repository: string = REPOSITORY,
): Promise<void> {
  const program = argv.find((word) => dirname(dirname(word)) === join(repository, CACHE));
  if (program === undefined) {
    return;
  }
  const place = dirname(program);
  if (!fileExists(program)) {
    await build(place, repository);
  }
  markUsed(place);
}

async function build(place: string, repository: string): Promise<void> {
  const draft = makeSiblingDirectory(place);
  try {
    const argv = [nodeProgram(), join(repository, BUILD), "--out", draft];
    const { exitCode, stderr } = await run(argv, { timeoutMs: BUILD_TIMEOUT_MS });
    const remedy = `--flanneld 'node ${SOURCE}' runs it from its sources`;
    if (exitCode !== 0) {
      throw new LabError("command-failed", `cannot bundle this repository's agent; ${remedy}`, {
        evidence: stderr.trim().split("\n"),
      });
    }
    // What was read after a change must not be found under the name of what was there before.
    if (dirname(bundlePlace(repository)) !== place) {
      throw new LabError(
        "command-failed",
        `the agent's sources changed while they were bundled: try again, or ${remedy}`,
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
