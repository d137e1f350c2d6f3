/** This repository's own agent: the lab runs its build and then the program, and imports neither. */
import { dirname, join } from "node:path";
import { type Bundle, makeBundle, placeOfBundle, RUNNER } from "./bundles.ts";
import { type Clock, systemClock } from "./system/clock.ts";
import { nodeProgram, repositoryDirectory } from "./system/machine.ts";

const REPOSITORY = repositoryDirectory();

const AGENT: Bundle = {
  name: "this repository's agent",
  madeOf: [
    "agent/package.json",
    "agent/src",
    "linux/addon",
    "linux/package.json",
    "linux/src",
    "pnpm-lock.yaml",
    "shipping/package.json",
    "shipping/src",
  ],
  build: "shipping/src/main.ts",
  cache: "node_modules/.cache/flanneld",
  program: "flanneld.cjs",
  remedy: "--flanneld 'node agent/src/main.ts' runs it from its sources",
};

/**
 * Node reads the certificates of all authorities that it comes with as soon as a program loads `node:http2`. The agent never asks for them by
 * default: it names whom it trusts. Source: `node --help`; agent/src/subnet-manager/etcd/etcd3-credentials.ts.
 */
const NO_BUNDLED_AUTHORITIES = "--use-openssl-ca";

/** Where the bundle of the agent's sources as they are now belongs. */
export function bundlePlace(repository: string = REPOSITORY, clock: Clock = systemClock): string {
  return placeOfBundle(AGENT, repository, clock);
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
  const program = argv.find((word) => dirname(dirname(word)) === join(repository, AGENT.cache));
  if (program !== undefined) {
    await makeBundle(AGENT, program, repository);
  }
}
