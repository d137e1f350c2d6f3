import { mkdir, open, readFile, rename, rm, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AgentError } from "../core/errors.ts";
import type { Files } from "./files.ts";

/** The machine's file system. */
export class NodeFiles implements Files {
  async read(path: string): Promise<string | undefined> {
    try {
      return await readFile(path, "utf8");
    } catch (error) {
      if (isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR")) return undefined;
      throw unusable("read", path, error);
    }
  }

  async writeAtomically(path: string, text: string, mode: number): Promise<void> {
    const directory = dirname(path);
    // Beside its target, so that the rename stays on one file system; the process id keeps two writers apart.
    const temporary = join(directory, `.${basename(path)}.${process.pid}`);
    try {
      await mkdir(directory, { recursive: true, mode: 0o755 });
      const keptMode = await stat(path).then(
        (found) => (found.isFile() ? found.mode & 0o777 : mode),
        () => mode,
      );
      const file = await open(temporary, "w", 0o600);
      try {
        await file.writeFile(text);
        // Regardless of the umask (spec 01 section 6.1).
        await file.chmod(keptMode);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
      await syncDirectory(directory);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw unusable("write", path, error);
    }
  }

  async remove(path: string): Promise<void> {
    try {
      await unlink(path);
    } catch (error) {
      if (!isErrno(error, "ENOENT") && !isErrno(error, "ENOTDIR"))
        throw unusable("remove", path, error);
    }
  }
}

/** Makes the rename itself survive a power cut. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function unusable(action: string, path: string, cause: unknown): AgentError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AgentError("file-unusable", `cannot ${action} ${path}: ${reason}`, {
    retryable: true,
    cause,
  });
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
