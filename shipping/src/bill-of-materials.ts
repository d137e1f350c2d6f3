/** What is in a release, for those who must know when a part of it turns out to be dangerous. Source: CycloneDX 1.6, ECMA-424. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "./bundle.ts";
import type { BundledPackage } from "./packages.ts";

/** A file of the release by its path. */
export interface ReleasedFile {
  readonly name: string;
  readonly path: string;
}

/**
 * A CycloneDX document in JSON. It has no time and no serial number: the same release has the same bill.
 * @param node the version of the Node that is in the single file, or that the bundle is built for
 */
export function formatBillOfMaterials(
  packages: readonly BundledPackage[],
  files: readonly ReleasedFile[],
  node: string,
): string {
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, "agent/package.json"), "utf8")) as {
    readonly version: string;
  };
  const main = `pkg:generic/flanneld@${version}`;
  const components: readonly Component[] = [
    ...packages.map(packageComponent),
    {
      type: "platform",
      "bom-ref": `pkg:generic/node@${node}`,
      name: "node",
      version: node,
      purl: `pkg:generic/node@${node}`,
      licenses: [{ license: { id: "MIT" } }],
    },
  ];
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": main,
        name: "flanneld",
        version,
        purl: main,
        licenses: [{ license: { id: "Apache-2.0" } }],
        components: files.map(fileComponent),
      },
    },
    components,
    dependencies: [{ ref: main, dependsOn: components.map((one) => one["bom-ref"]) }],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

interface Component {
  readonly type: "library" | "platform";
  readonly "bom-ref": string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses: readonly object[];
}

function packageComponent({ name, version, license }: BundledPackage): Component {
  // Source: purl-spec, type npm: the scope is a namespace, its @ percent-encoded.
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  const licenses = /^[\w.+-]+$/.test(license)
    ? [{ license: { id: license } }]
    : [{ expression: license }];
  return { type: "library", "bom-ref": purl, name, version, purl, licenses };
}

function fileComponent({ name, path }: ReleasedFile): object {
  const content = createHash("sha256").update(readFileSync(path)).digest("hex");
  return { type: "file", name, hashes: [{ alg: "SHA-256", content }] };
}
