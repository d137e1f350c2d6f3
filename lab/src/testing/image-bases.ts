/** Bases for deploy/image, made of what this machine has: no registry is asked, and nothing is fetched in the build. */
import { readdirSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { writeImage } from "../hosts/container/image.ts";
import { findProgram, removeTree } from "../system/files.ts";
import { nodeProgram, repositoryDirectory } from "../system/machine.ts";
import { runChecked } from "../system/processes.ts";

const REPOSITORY = repositoryDirectory();
const ADDON = join(REPOSITORY, "linux/addon");
/** Of the compiler, which names their places. */
const COMPILER_PARTS = ["prog-name=cc1", "prog-name=collect2", "file-name=liblto_plugin.so"];
/** Whose packages the build reads. */
const BUILD_ROOMS = ["agent", "linux", "shipping"];
/** Theirs, but for tests. */
const NOT_IN_A_BUILD = "vitest";
/** Where the image file builds. */
const SOURCES_IN_IMAGE = "src";
const NODE_IN_IMAGE = "usr/local/bin/node";

/** With a compiler, Node and the installed packages, where the image file looks for them. @throws LabError "command-failed" */
export async function writeBuildBase(tarFile: string): Promise<void> {
  await writeImage(tarFile, await compilerFiles(`${tarFile}.linked`));
  const append = ["tar", "--append", "--file", tarFile];
  const node = nodeProgram().slice(1);
  await runChecked([...append, "--directory", "/", "--transform", `s,.*,${NODE_IN_IMAGE},`, node]);
  // Links point from one package to another, and stay; files are also in pnpm's store, which is not there.
  const asTheyAre = ["--hard-dereference", "--transform", `s,^,${SOURCES_IN_IMAGE}/,S`];
  await runChecked([...append, "--directory", REPOSITORY, ...asTheyAre, ...installedPackages()]);
}

/** All that is read when the native half is compiled. Source: gcc(1) -M, -print-prog-name, -print-file-name; ld(1) --trace. */
async function compilerFiles(scratch: string): Promise<readonly string[]> {
  const programs = ["cc", "as", "ld", "strip"].map((name) => findProgram(name) ?? name);
  const parts = await Promise.all(
    COMPILER_PARTS.map((name) => runChecked(["cc", `-print-${name}`])),
  );
  const headers = join(
    dirname(createRequire(join(ADDON, "linux.c")).resolve("node-api-headers/package.json")),
    "include",
  );
  // Headers ask whether it optimizes, as the build does.
  const sources = readdirSync(ADDON).filter((name) => name.endsWith(".c"));
  const compiled = sources.map((name) => join(ADDON, name));
  const included = await runChecked(["cc", "-O2", "-M", "-I", headers, ...compiled]);
  const linked = await runChecked(["cc", "-shared", "-pthread", "-Wl,--trace", "-o", scratch]);
  removeTree(scratch);
  const read = [...parts, linked, included].join("\n").split(/[\s\\]+/u);
  const ofMachine = read.filter((path) => path.startsWith("/") && !path.startsWith(REPOSITORY));
  return [...programs, ...ofMachine];
}

/** Paths from the repository's root: each room's links, and all packages that they lead to. */
function installedPackages(): readonly string[] {
  const links = BUILD_ROOMS.map((room) => join(room, "node_modules"));
  const found = new Set<string>();
  for (const folder of links.map((path) => join(REPOSITORY, path))) follow(folder, found);
  const packages = [...found].filter((path) => path.startsWith("node_modules/"));
  return [...links, ...packages];
}

function follow(folder: string, found: Set<string>): void {
  for (const name of packageNames(folder)) {
    const place = dirname(realpathSync(join(folder, name)));
    // `…/.pnpm/NAME@VERSION/node_modules/NAME`, with what it needs beside it.
    const home = name.includes("/") ? dirname(place) : place;
    const path = relative(REPOSITORY, home);
    if (name !== NOT_IN_A_BUILD && path.includes("/.pnpm/") && !found.has(path)) {
      found.add(path);
      follow(home, found);
    }
  }
}

function packageNames(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .flatMap((name) =>
      name.startsWith("@") ? readdirSync(join(folder, name)).map((one) => `${name}/${one}`) : name,
    );
}
