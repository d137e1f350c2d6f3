/** Makes of the agent one file that Node runs, with its native half beside it. The same sources give the same bytes. */
import { chmodSync, copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Metafile, build } from "esbuild";
import { builtPath } from "linux/addon";

export const REPOSITORY: string = join(import.meta.dirname, "../..");
const ENTRY = join(REPOSITORY, "agent/src/main.ts");
/** Of the files of a release. The addon's name is the one that linux/src/addon.ts looks for. */
export const PROGRAM_NAME = "flanneld.cjs";
export const ADDON_NAME = "linux.node";

/** An executable for everybody, written by its owner. */
const PROGRAM_MODE = 0o755;

/** In a line of this many characters an error's position still tells something. */
const LINE_LIMIT = 160;

/** A CommonJS module has no `import.meta`. */
const MODULE_FACTS = {
  "import.meta.url": "bundleUrl",
  "import.meta.dirname": "__dirname",
};
const PREAMBLE = 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;';

/**
 * Writes `flanneld.cjs` and `linux.node` into a directory.
 *
 * CommonJS, because an ES module that imports a module of Node's makes it compute all that it exports, which for `node:http` is a whole
 * web client; and because a single executable can be made of nothing else.
 * @returns what came from where, as esbuild tells it, by paths from the repository's root
 * @throws AddonError where the addon cannot be compiled
 */
export async function bundleAgent(directory: string): Promise<Metafile> {
  mkdirSync(directory, { recursive: true });
  const program = join(directory, PROGRAM_NAME);
  const { metafile } = await build({
    entryPoints: [ENTRY],
    outfile: program,
    absWorkingDir: REPOSITORY,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    // Names are kept: they are in the stack of every error that an operator reports.
    minifySyntax: true,
    minifyWhitespace: true,
    lineLimit: LINE_LIMIT,
    legalComments: "none",
    define: MODULE_FACTS,
    banner: { js: PREAMBLE },
    logLevel: "error",
    metafile: true,
  });
  chmodSync(program, PROGRAM_MODE);
  copyFileSync(builtPath(), join(directory, ADDON_NAME));
  return metafile;
}
