/** The files under /proc/sys/net of the memory kernel. */
import type { Sysctl } from "./kernel.ts";
import type { Refusal } from "./print.ts";

export class MemorySysctls {
  readonly #sysctls = new Map<string, Sysctl>();
  /** Paths that nobody wrote yet. */
  readonly #untouched = new Set<string>();

  all(): Iterable<Sysctl> {
    return this.#sysctls.values();
  }

  isUntouched(path: string): boolean {
    return this.#untouched.has(path);
  }

  /** What an IPv6 kernel has for a new link. */
  addLink(name: string): void {
    const path = `net/ipv6/conf/${name}/accept_ra`;
    this.#sysctls.set(path, { kind: "sysctl", path, value: "1" });
    this.#untouched.add(path);
  }

  removeLink(name: string): void {
    for (const path of this.#sysctls.keys())
      if (path.split("/").includes(name)) this.#sysctls.delete(path);
  }

  put({ path, value, optional }: Sysctl): Refusal | undefined {
    if (!this.#sysctls.has(path)) return optional === true ? undefined : { code: "ENOENT" };
    this.#sysctls.set(path, { kind: "sysctl", path, value });
    this.#untouched.delete(path);
    return undefined;
  }
}
