import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const MAIN = join(import.meta.dirname, "main.mjs");
/** Writes to stderr whether Node has loaded what takes types out of a file. */
const TELLS =
  'data:text/javascript,process.on("exit",()=>console.error(process.moduleLoadList.some((name)=>name.includes("amaro"))))';

test("a second command takes the types out of no file", () => {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const takesTypesOut = (): string =>
    spawnSync(process.execPath, ["--import", TELLS, MAIN, "--help"], { encoding: "utf8", env })
      .stderr;
  takesTypesOut();
  expect(takesTypesOut()).toBe("false\n");
});
