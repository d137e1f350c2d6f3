import { type RunningProcess, startAnnounced } from "../system/processes.ts";

/** The process that keeps a set of namespaces alive, and the way into them. */
export interface Anchor {
  readonly pid: number;
  /** The command line that runs `argv` inside. */
  readonly enter: (argv: readonly string[]) => string[];
  /** Ends the anchor; the namespaces go with the last process in them. */
  close(): Promise<void>;
}

const NEW_NAMESPACES = ["unshare", "--net", "--mount", "--uts", "--propagation", "private"];

/**
 * Makes fresh network, mount and UTS namespaces and runs a script in them that says `ready` and stays.
 * Equivalent to `unshare --net --mount --uts sh -c SCRIPT`.
 * @throws LabError "command-failed" with what the script complained of
 */
export async function openAnchor(
  script: string,
  scriptArguments: readonly string[],
  within?: Anchor,
): Promise<Anchor> {
  const argv = [...NEW_NAMESPACES, "sh", "-c", script, "anchor", ...scriptArguments];
  const anchor = await startAnnounced(within === undefined ? argv : within.enter(argv));
  return {
    pid: anchor.pid,
    enter: (inside) => enterNamespaces(anchor.pid, inside),
    close: () => end(anchor),
  };
}

async function end(anchor: RunningProcess): Promise<void> {
  anchor.kill("SIGKILL");
  await anchor.exited;
}

/** The command line that runs `argv` in the network, mount and UTS namespaces of a process. */
export function enterNamespaces(
  pid: number,
  argv: readonly string[],
  more: readonly string[] = [],
): string[] {
  // Entering a mount namespace alone leads to its root, which is not ours when we run in a chroot.
  const kinds = [...more, "--net", "--mount", "--uts", "--root"];
  return ["nsenter", "--target", String(pid), ...kinds, "--", ...argv];
}
