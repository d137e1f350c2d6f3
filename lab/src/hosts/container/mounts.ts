import { isAbsolute, resolve, sep } from "node:path";
import type { AgentCommands } from "../../agent-commands.ts";
import type { LabOptions } from "../../options.ts";
import { COMPILE_CACHE } from "../../system/compile-cache.ts";
import { fileExists } from "../../system/files.ts";
import { nodeProgram, repositoryDirectory } from "../../system/machine.ts";

/** A directory or file of the machine that a container sees at the same path. */
export interface SamePathMount {
  readonly Type: "bind";
  readonly Source: string;
  readonly Target: string;
  readonly ReadOnly: boolean;
}

/** What every container has of its own. */
const OWN = ["/proc", "/sys", "/dev", "/run"];

/**
 * What a host's agent is started from, to be read only: the repository with its dependencies, Node, the caller's directory, and every
 * file that a command line of an agent names by its whole path. Only Node's compiled code is kept by whoever compiles it first.
 */
export function mountsOf({
  agents,
  workingDirectory,
}: Pick<LabOptions, "agents" | "workingDirectory">): readonly SamePathMount[] {
  const wanted = [
    repositoryDirectory(),
    workingDirectory,
    nodeProgram(),
    ...pathsOf(agents),
  ].filter((path) => path !== sep && !OWN.some((own) => isWithin(path, own)) && fileExists(path));
  const cache = COMPILE_CACHE.NODE_COMPILE_CACHE;
  return [
    ...[...new Set(wanted)]
      .filter((path) => !wanted.some((other) => other !== path && isWithin(path, other)))
      .map((path) => mountOf(path, true)),
    ...(isAbsolute(cache) && fileExists(cache) ? [mountOf(cache, false)] : []),
  ];
}

/** Whether an agent is a program of the repository, whose native part is compiled when it is first used. */
export function usesRepository({ agents }: Pick<LabOptions, "agents">): boolean {
  return pathsOf(agents).some((path) => isWithin(path, repositoryDirectory()));
}

function pathsOf({ others, named }: AgentCommands): readonly string[] {
  const words = [others, ...named].flatMap(({ argv }) => argv);
  return words.filter((word) => isAbsolute(word)).map((word) => resolve(word));
}

function mountOf(path: string, isReadOnly: boolean): SamePathMount {
  return { Type: "bind", Source: path, Target: path, ReadOnly: isReadOnly };
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory + sep);
}
