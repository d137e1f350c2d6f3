/** The lab's own supervisor: every lab starts one, and it starts all else. */
import { fileURLToPath } from "node:url";
import { type Bundle, makeBundle, placeOfBundle, RUNNER } from "./bundles.ts";
import { isForbidden } from "./system/files.ts";
import { nodeProgram, repositoryDirectory } from "./system/machine.ts";

export const SUPERVISOR: Bundle = {
  name: "the lab's supervisor",
  madeOf: ["lab/package.json", "lab/src", "linux/package.json", "linux/src", "pnpm-lock.yaml"],
  build: "lab/src/bundle-supervisor.ts",
  cache: "node_modules/.cache/supervisor",
  program: "supervisor.cjs",
};

const SOURCES = fileURLToPath(new URL("supervisor.ts", import.meta.url));

let found: string | undefined;

/**
 * The command line that starts it, but for the run directory, when what it names is made. A process that asks again gets the same answer.
 * Where nothing can be kept, its sources are run: that takes longer, and a lab of a checkout that somebody else owns works.
 * @throws LabError "command-failed" with what the build said
 */
export async function ownSupervisor(): Promise<readonly string[]> {
  const repository = repositoryDirectory();
  found ??= placeOfBundle(SUPERVISOR, repository);
  try {
    await makeBundle(SUPERVISOR, found, repository);
    return [nodeProgram(), RUNNER, found];
  } catch (error) {
    if (!isForbidden(error)) {
      throw error;
    }
    return [nodeProgram(), SOURCES];
  }
}
