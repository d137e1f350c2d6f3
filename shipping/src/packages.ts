/** Which packages are in a bundle, and on what terms. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Metafile } from "esbuild";
import { REPOSITORY } from "./bundle.ts";

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** An SPDX expression. */
  readonly license: string;
  /** As the package has it. */
  readonly licenseText: string;
}

const LICENSE_FILE = /^(licen[cs]e|copying|notice)/i;
const IN_PACKAGES = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

/**
 * The packages of others that some code of is in the bundle, by name.
 * @throws Error for one that does not say its license
 */
export function packagesOf({ outputs }: Metafile): readonly BundledPackage[] {
  const used = Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([path, { bytesInOutput }]) =>
      bytesInOutput > 0 ? [path] : [],
    ),
  );
  const folders = new Set(used.flatMap((path) => IN_PACKAGES.exec(path)?.[1] ?? []));
  return [...folders]
    .map((folder) => readPackage(join(REPOSITORY, folder)))
    .toSorted((a, b) => compare(a.name, b.name) || compare(a.version, b.version));
}

/** The same order wherever it is built. */
function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function readPackage(folder: string): BundledPackage {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    readonly name: string;
    readonly version: string;
    readonly license?: unknown;
  };
  const { name, version, license } = manifest;
  if (typeof license !== "string" || license === "")
    throw new Error(`package ${name} ${version} names no license: it cannot be shipped`);
  const texts = readdirSync(folder)
    .filter((file) => LICENSE_FILE.test(file))
    .toSorted()
    .map((file) => readFileSync(join(folder, file), "utf8").trim());
  return { name, version, license, licenseText: texts.join("\n\n") };
}

/**
 * The license texts of everything that is given away.
 * @param node of the Node inside, where there is one
 */
export function formatLicenses(packages: readonly BundledPackage[], node?: string): string {
  const rule = "-".repeat(80);
  const own = readFileSync(join(REPOSITORY, "LICENSE"), "utf8").trim();
  const parts = packages.map(({ name, version, license, licenseText }) =>
    `${rule}\n${name} ${version}\n${license}\n\n${licenseText}`.trimEnd(),
  );
  const inside = node === undefined ? [] : [`${rule}\nnode\n\n${node.trim()}`];
  return `${[own, ...parts, ...inside].join("\n\n")}\n`;
}
