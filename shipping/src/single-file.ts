/** Puts the bundle and its native half into a copy of Node: one file that needs neither Node nor anything beside it. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ADDON_NAME, PROGRAM_NAME } from "./bundle.ts";

export const SINGLE_FILE_NAME = "flanneld";
const EXECUTABLE_MODE = 0o755;
/** Where a copy of Node is looked into for a program of its own. Source: Node's documentation of single executable applications. */
const RESOURCE = "NODE_SEA_BLOB";
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";
/** Otherwise chance is in the compiled code. V8 refuses code compiled under most other flags. Source: `node --v8-options`. */
const SAME_CODE_EACH_TIME = ["--random-seed=1"];

/**
 * Writes `flanneld` beside the bundle in the directory. Compiled code is in it, so it runs on the very Node that it is made of.
 * @throws Error where a tool fails, with what it said
 */
export function makeSingleFile(directory: string): void {
  const scratch = mkdtempSync(join(directory, ".single-file-"));
  try {
    const blob = join(scratch, "blob");
    const config = join(scratch, "config.json");
    writeFileSync(
      config,
      JSON.stringify({
        // By its name alone, because this is put into the file.
        main: PROGRAM_NAME,
        output: blob,
        disableExperimentalSEAWarning: true,
        useCodeCache: true,
        assets: { [ADDON_NAME]: ADDON_NAME },
      }),
    );
    run(process.execPath, [...SAME_CODE_EACH_TIME, "--experimental-sea-config", config], directory);
    const program = join(scratch, SINGLE_FILE_NAME);
    copyFileSync(process.execPath, program);
    chmodSync(program, EXECUTABLE_MODE);
    // A quarter of Node is symbols for debuggers. What the addon needs is in the dynamic table, which stays.
    run("strip", ["--strip-unneeded", program]);
    const postject = fileURLToPath(import.meta.resolve("postject/dist/cli.js"));
    run(process.execPath, [postject, program, RESOURCE, blob, "--sentinel-fuse", FUSE]);
    copyFileSync(program, join(directory, SINGLE_FILE_NAME));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function run(program: string, argv: readonly string[], cwd?: string): void {
  execFileSync(program, argv, { cwd, stdio: ["ignore", "ignore", "pipe"] });
}
