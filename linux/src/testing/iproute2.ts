/** A second opinion for tests: what `ip` and `bridge` see in a namespace. */
import { spawnSync } from "node:child_process";
import type { NetworkNamespace } from "../namespaces.ts";

/** An object as iproute2 prints it. */
export type Printed = Readonly<Record<string, unknown>>;

/** Output of `ip -json …` or `bridge -json …` in a namespace. @throws Error when it fails */
export function iproute2(
  command: "ip" | "bridge",
  namespace: NetworkNamespace,
  ...words: readonly string[]
): readonly Printed[] {
  const argv = [`--net=${namespace.path}`, command, "-json", ...words];
  const { status, stdout, stderr, error } = spawnSync("nsenter", argv, {
    encoding: "utf8",
    timeout: 10_000,
    maxBuffer: 64 << 20,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${words.join(" ")}: ${stderr}`);
  const printed = JSON.parse(stdout === "" ? "[]" : stdout) as readonly Printed[];
  // iproute2 6.1 prints an empty object for what a filter left out.
  return printed.filter((entry) => Object.keys(entry).length > 0);
}
