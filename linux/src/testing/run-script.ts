import { spawnSync } from "node:child_process";

export interface ScriptResult {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A script that hangs is a failure. */
const TIMEOUT_MS = 15_000;

/**
 * Runs JavaScript in a process of its own: for what a test cannot do to its own process.
 * @param wrapper command to run it under, `["unshare", "-m"]`
 */
export function runScript(script: string, wrapper: readonly string[] = []): ScriptResult {
  const node = [process.execPath, "--input-type=module", "--eval", script];
  const [command = process.execPath, ...argv] = wrapper.concat(node);
  const { status, signal, stdout, stderr, error } = spawnSync(command, argv, {
    encoding: "utf8",
    timeout: TIMEOUT_MS,
  });
  if (error !== undefined) throw error;
  return { status, signal, stdout, stderr };
}

/** Address of a module of this package, quoted for an import in a script. */
export function moduleUrl(path: string): string {
  return JSON.stringify(new URL(`../${path}`, import.meta.url).href);
}
