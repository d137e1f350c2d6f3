import { AgentError } from "../core/errors.ts";
import type { Files } from "./files.ts";

/** Files in a map; obeys files.contract.ts like the real ones. Refusals are commands. */
export class MemoryFiles implements Files {
  readonly texts: Map<string, string> = new Map();
  readonly #refused = new Map<string, string>();

  async read(path: string): Promise<string | undefined> {
    return this.texts.get(path);
  }

  async writeAtomically(path: string, text: string): Promise<void> {
    const reason = this.#refused.get(path);
    if (reason !== undefined)
      throw new AgentError("file-unusable", `cannot write ${path}: ${reason}`, { retryable: true });
    this.texts.set(path, text);
  }

  async remove(path: string): Promise<void> {
    this.texts.delete(path);
  }

  /** Refuses writes of a path for this reason, until allowed again. */
  refuse(path: string, reason: string): void {
    this.#refused.set(path, reason);
  }

  allow(path: string): void {
    this.#refused.delete(path);
  }
}
