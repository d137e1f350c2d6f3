import { basename, dirname, join } from "node:path";
import { fileExists, findProgram, listDirectory, readLink, realPath } from "../../system/files.ts";
import { nodeProgram } from "../../system/machine.ts";
import { run, runChecked } from "../../system/processes.ts";

/**
 * The root file system of a host: the programs below, as this machine has them, with the libraries they want. No registry is
 * asked. Node's libraries are in it; Node itself and the repository are mounted.
 */

/** What the lab itself runs in hosts and pods. */
const PROGRAMS = "sh cat env hostname ip mount ping sleep unshare nsenter";
/** What faults, agents and people want; each only where the machine has it. */
const MORE_PROGRAMS =
  "bridge tc ss nft tcpdump iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore ipset conntrack wg modprobe sysctl ls cp mv rm mkdir rmdir ln touch chmod echo printf head tail tee wc sort sed grep awk date id ps kill true false test find xargs seq readlink realpath tr cut uniq basename dirname stat uname expr printenv mktemp nproc df du setsid nohup flock bash timeout dd od umount ethtool arping nc";
/** Directories whose files are found by their path at run time: extensions of iptables, tables of names, libfaketime. */
const SUPPORT = ["/etc/iproute2", "/usr/share/iproute2", "/usr/lib/tc", "/usr/local/lib/faketime"];
const LIBRARY_SUPPORT = ["xtables", "faketime"];
const SMALL_FILES = ["/etc/protocols", "/etc/services", "/etc/passwd", "/etc/group"];
const DIRECTORIES = ["dev", "etc", "opt", "proc", "root", "run", "sys", "tmp", "usr", "var"];
/** Links into /usr where the machine has it so. Source: file-hierarchy(7). */
const MERGED = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/**
 * Writes the file system to a tar(1) file.
 * @param more whole paths of further programs and files, which are there
 * @throws LabError "command-failed"
 */
export async function writeImage(tarFile: string, more: readonly string[] = []): Promise<void> {
  const names = [...PROGRAMS.split(" "), ...MORE_PROGRAMS.split(" ")];
  const programs = [...names.flatMap((name) => findProgram(name) ?? []), ...more];
  const libraryDirectories = listDirectory("/usr/lib").map((name) => join("/usr/lib", name));
  const support = [
    ...SUPPORT,
    ...libraryDirectories.flatMap((directory) =>
      LIBRARY_SUPPORT.map((name) => join(directory, name)),
    ),
  ].filter(fileExists);
  const libraries = await librariesOf([...programs, ...support.flatMap(modulesIn)]);
  const files = [...programs, ...libraries, ...SMALL_FILES.filter(fileExists)];
  const contents = [...new Set([...files.map(inRealDirectory), ...support])];
  const links = MERGED.filter((name) => readLink(`/${name}`) !== undefined);
  const directories = DIRECTORIES.filter((name) => fileExists(`/${name}`));
  const root = ["--file", tarFile, "--directory", "/"];
  await runChecked(["tar", "--create", ...root, "--no-recursion", ...directories, ...links]);
  // A name that is a link, as those of iptables are, becomes the program behind it.
  const followed = ["tar", "--append", "--dereference", "--hard-dereference"];
  await runChecked([...followed, ...root, ...contents.map((path) => path.slice(1))]);
}

/** Asked once for each file, without ldd(1), which asks several times. Source: ld.so(8). */
const LIST_LIBRARIES = 'loader="$0"; for file; do "$loader" --list "$file"; done';

/** Shared libraries and their loader, by the paths that the programs look for them at. */
async function librariesOf(files: readonly string[]): Promise<string[]> {
  const ofNode = pathsIn(await runChecked(["ldd", nodeProgram()]));
  const loader = ofNode.find((path) => basename(path).startsWith("ld-"));
  // A script, and what has no libraries, are said on stderr.
  const { stdout } =
    loader === undefined
      ? await run(["ldd", ...files])
      : await run(["sh", "-c", LIST_LIBRARIES, loader, ...files]);
  return [...ofNode, ...pathsIn(stdout)];
}

/** `libc.so.6 => /lib/libc.so.6 (0x7f…)`, and the loader without an arrow. Source: ldd(1). */
function pathsIn(text: string): string[] {
  return [...text.matchAll(/^\s+(?:\S+ => )?(\/\S+) \(0x/gmu)].map(([, path = ""]) => path);
}

function modulesIn(directory: string): string[] {
  return listDirectory(directory)
    .filter((name) => name.endsWith(".so"))
    .map((name) => join(directory, name));
}

/** `/bin/sh` of a machine whose /bin is a link is in /usr/bin. */
function inRealDirectory(path: string): string {
  return join(realPath(dirname(path)), basename(path));
}
