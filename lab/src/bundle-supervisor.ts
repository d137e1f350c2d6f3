/**
 * Makes of the supervisor one file that Node runs, `node bundle-supervisor.ts --out DIRECTORY`, and says of which files, by their paths from
 * the repository's root. Ends with 0, or with 1 and esbuild's words.
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { type Plugin, build } from "esbuild";

const ENTRY = join(import.meta.dirname, "supervisor.ts");
const PROGRAM = "supervisor.cjs";

/** Each file goes on to be where it is: what it looks for beside itself is not beside the bundle. */
const KEEPS_PLACES: Plugin = {
  name: "keeps-places",
  setup: (esbuild) => {
    esbuild.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const contents = text
        .replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href))
        .replaceAll("import.meta.dirname", JSON.stringify(dirname(path)));
      return { contents, loader: "ts" };
    });
  },
};

const { values } = parseArgs({ options: { out: { type: "string" } } });
if (values.out === undefined) {
  throw new Error("usage: bundle-supervisor.ts --out DIRECTORY");
}
const { metafile } = await build({
  absWorkingDir: join(import.meta.dirname, "../.."),
  entryPoints: [ENTRY],
  outfile: join(values.out, PROGRAM),
  bundle: true,
  platform: "node",
  target: "node24",
  // The runner of kept code takes nothing else.
  format: "cjs",
  minifyWhitespace: true,
  legalComments: "none",
  logLevel: "error",
  plugins: [KEEPS_PLACES],
  metafile: true,
});
process.stdout.write(`${Object.keys(metafile.inputs).join("\n")}\n`);
