import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parseAgentCommands } from "../../agent-commands.ts";
import { COMPILE_CACHE } from "../../system/compile-cache.ts";
import { defaultFlanneld } from "../../own-agent.ts";
import { repositoryDirectory } from "../../system/machine.ts";
import { mountsOf, usesRepository } from "./mounts.ts";

const HERE = dirname(fileURLToPath(import.meta.url));

const targetsFor = (workingDirectory: string, ...flanneld: readonly string[]): readonly string[] =>
  mountsOf({ agents: parseAgentCommands(flanneld, defaultFlanneld()), workingDirectory })
    .filter(({ ReadOnly: isReadOnly }) => isReadOnly)
    .map(({ Target: target }) => target)
    // Node is in the repository, or is not.
    .filter((path) => path !== process.execPath);

test("a container sees the repository and the caller's directory, each once, and nothing that is inside of one", () => {
  const repository = repositoryDirectory();
  expect(HERE.startsWith(`${repository}/lab/src/`)).toBe(true);
  expect(targetsFor(repository)).toEqual([repository]);
  expect(targetsFor(HERE)).toEqual([repository]);
  expect(targetsFor("/usr/lib")).toEqual([repository, "/usr/lib"]);
  expect(targetsFor("/")).toEqual([repository]);
});

test("a container sees the files that agents' commands name by their whole path, where they are", () => {
  const repository = repositoryDirectory();
  expect(
    targetsFor("/", "/bin/sh -c flanneld", "n1=/etc/passwd /does/not/exist etc/passwd"),
  ).toEqual([repository, "/bin/sh", "/etc/passwd"]);
  expect(targetsFor("/", "/proc/self/exe /dev/null /run")).toEqual([repository]);
});

test("all of it is to be read only, but for where Node keeps compiled code", () => {
  const agents = parseAgentCommands(["/bin/sh"], defaultFlanneld());
  const mounts = mountsOf({ agents, workingDirectory: "/usr/lib" });
  const writable = mounts.filter(({ ReadOnly: isReadOnly }) => !isReadOnly);
  const cache = COMPILE_CACHE.NODE_COMPILE_CACHE;
  expect(writable.map(({ Target: target }) => target)).toEqual(existsSync(cache) ? [cache] : []);
  expect(mounts.every(({ Source: source, Target: target }) => source === target)).toBe(true);
});

test("an agent of the repository is known by its path", () => {
  const uses = (...flanneld: readonly string[]): boolean =>
    usesRepository({ agents: parseAgentCommands(flanneld, defaultFlanneld()) });
  expect(uses()).toBe(true);
  expect(uses("/opt/flannel/flanneld")).toBe(false);
  expect(uses("/opt/flannel/flanneld", `n1=/bin/sh ${HERE}/x`)).toBe(true);
});
