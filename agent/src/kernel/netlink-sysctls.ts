/** Files under /proc/sys, by their path below it. They speak for the network namespace of the process. */
import { readFile, writeFile } from "node:fs/promises";

export interface Sysctls {
  /** Without the final newline; undefined when there is no such file. */
  read(path: string): Promise<string | undefined>;
  /** @throws Error of node:fs with its `code` */
  write(path: string, value: string): Promise<void>;
}

export const procSysctls: Sysctls = {
  async read(path) {
    try {
      return (await readFile(`/proc/sys/${path}`, "utf8")).trimEnd();
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  },
  write: (path, value) => writeFile(`/proc/sys/${path}`, `${value}\n`),
};

/** The errno's name of an error of node:fs. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
