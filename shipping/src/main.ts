/**
 * Builds what is shipped: `pnpm build [--out DIRECTORY] [--single-file] [--sbom]`, by default into `dist`. Ends with 0, 64 for a wrong word, 1 for
 * all else that is wrong.
 */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { formatBillOfMaterials } from "./bill-of-materials.ts";
import { ADDON_NAME, PROGRAM_NAME, REPOSITORY, bundleAgent } from "./bundle.ts";
import { formatLicenses, packagesOf } from "./packages.ts";
import { SINGLE_FILE_NAME, makeSingleFile } from "./single-file.ts";

const EXIT_USAGE = 64;
const BYTES_PER_KIB = 1024;
const BILL_NAME = "flanneld.cdx.json";
const LICENSES_NAME = "LICENSES.txt";
/** From the directory of the program, as Node is packed. */
const NODE_LICENSE = "../LICENSE";

interface Wishes {
  readonly directory: string;
  readonly singleFile: boolean;
  readonly bill: boolean;
}

function readWishes(): Wishes {
  try {
    const { values } = parseArgs({
      options: {
        out: { type: "string", default: join(REPOSITORY, "dist") },
        "single-file": { type: "boolean", default: false },
        sbom: { type: "boolean", default: false },
      },
    });
    const { out, "single-file": singleFile, sbom: bill } = values;
    return { directory: resolve(out), singleFile, bill };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(EXIT_USAGE);
  }
}

const { directory, singleFile, bill } = readWishes();
const metafile = await bundleAgent(directory);
const names = [PROGRAM_NAME, ADDON_NAME];
if (singleFile) {
  makeSingleFile(directory);
  names.push(SINGLE_FILE_NAME);
}
if (bill) {
  const packages = packagesOf(metafile);
  const files = names.map((name) => ({ name, path: join(directory, name) }));
  writeFileSync(
    join(directory, BILL_NAME),
    formatBillOfMaterials(packages, files, process.versions.node),
  );
  const node = singleFile
    ? readFileSync(join(dirname(process.execPath), NODE_LICENSE), "utf8")
    : undefined;
  writeFileSync(join(directory, LICENSES_NAME), formatLicenses(packages, node));
  names.push(BILL_NAME, LICENSES_NAME);
}
for (const name of names) {
  const path = join(directory, name);
  process.stdout.write(`${path} ${Math.round(statSync(path).size / BYTES_PER_KIB)} KiB\n`);
}
