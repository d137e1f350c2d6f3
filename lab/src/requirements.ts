import { LabError } from "./errors.ts";
import { systemClock } from "./system/clock.ts";
import { fileExists, findProgram } from "./system/files.ts";
import { isRoot } from "./system/machine.ts";
import { run, runAttached } from "./system/processes.ts";

/** A program or file that the lab cannot do without, and what provides it on Debian and its relatives. */
export interface Requirement {
  readonly name: string;
  readonly what: { readonly program: string } | { readonly file: string };
  readonly packages: readonly string[];
}

/** For the lab itself. */
export const LAB_REQUIREMENTS: readonly Requirement[] = [
  { name: "etcd", what: { program: "etcd" }, packages: ["etcd-server"] },
  { name: "ip", what: { program: "ip" }, packages: ["iproute2"] },
  { name: "ping", what: { program: "ping" }, packages: ["iputils-ping"] },
  { name: "unshare", what: { program: "unshare" }, packages: ["util-linux"] },
  { name: "nsenter", what: { program: "nsenter" }, packages: ["util-linux"] },
  { name: "hostname", what: { program: "hostname" }, packages: ["hostname"] },
];

/** For the native part of the lab and of this repository's agent, which is compiled when it is first used. */
export const COMPILER_REQUIREMENTS: readonly Requirement[] = [
  { name: "cc", what: { program: "cc" }, packages: ["gcc", "libc6-dev"] },
];

/** For some of the faults. */
export const FAULT_REQUIREMENTS: readonly Requirement[] = [
  { name: "nft", what: { program: "nft" }, packages: ["nftables"] },
];

/** For the tests of traffic rules. */
export const FIREWALL_REQUIREMENTS: readonly Requirement[] = [
  { name: "iptables", what: { program: "iptables" }, packages: ["iptables"] },
];

const DEBIAN_MARK = "/etc/debian_version";
const SYSTEMD_MARK = "/run/systemd/system";
const PACKAGE_LISTS = "/var/lib/apt/lists";
/** What Debian starts with a package of ours. */
const SERVICES: Readonly<Record<string, readonly string[]>> = {
  "etcd-server": ["etcd"],
  "docker.io": ["docker", "containerd"],
};
/** As systemd has them: a socket would start its service. */
const UNITS: Readonly<Record<string, readonly string[]>> = {
  etcd: ["etcd.service"],
  docker: ["docker.socket", "docker.service"],
  containerd: ["containerd.service"],
};

export interface RequirementsOptions {
  /** Whether missing packages may be installed. */
  readonly install: boolean;
  /** Default: what the lab and this repository's agent need. */
  readonly requirements?: readonly Requirement[];
  /** Where to say what is being installed: complete lines. */
  readonly say: (text: string) => void;
}

/** What the machine lacks. */
export function missingRequirements(requirements: readonly Requirement[]): Requirement[] {
  return requirements.filter(({ what }) =>
    "program" in what ? findProgram(what.program) === undefined : !fileExists(what.file),
  );
}

/**
 * Sees to it that the machine has what the lab needs: as root on a Debian-like system missing packages are installed.
 * Returns what it found, in words.
 * @throws LabError "requirement-missing" with the command that would help
 */
export async function ensureRequirements(
  options: RequirementsOptions,
): Promise<{ readonly detail: string; readonly ms: number }> {
  const startMs = systemClock.nowMs();
  const { requirements = [...LAB_REQUIREMENTS, ...COMPILER_REQUIREMENTS] } = options;
  const missing = missingRequirements(requirements);
  let installed = "";
  if (missing.length > 0) {
    const packages = packagesOf(missing);
    refuseUnlessInstallable(missing, packages, options.install);
    options.say(`installing ${packages.join(", ")}: ${installCommand(packages).join(" ")}\n`);
    await installPackages(packages);
    const still = missingRequirements(requirements);
    if (still.length > 0) {
      throw missingError(still, "still missing after apt-get");
    }
    installed = `, installed ${packages.join(" ")}`;
  }
  await checkNamespaces();
  const detail = `netns, ${isRoot() ? "as root" : "in a user namespace"}${installed}`;
  return { detail, ms: Math.round(systemClock.nowMs() - startMs) };
}

/** Names of the packages, each once. */
export function packagesOf(missing: readonly Requirement[]): string[] {
  return [...new Set(missing.flatMap(({ packages }) => packages))];
}

/** Equivalent to what a person would type. */
export function installCommand(packages: readonly string[]): string[] {
  return ["apt-get", "install", "--yes", "--no-install-recommends", ...packages];
}

function refuseUnlessInstallable(
  missing: readonly Requirement[],
  packages: readonly string[],
  install: boolean,
): void {
  if (!fileExists(DEBIAN_MARK)) {
    throw missingError(missing, "install what provides it with your system's package manager");
  }
  if (!install || !isRoot()) {
    const prefix = isRoot() ? "" : "sudo ";
    throw missingError(missing, `run ${prefix}${installCommand(packages).join(" ")}`);
  }
}

function missingError(missing: readonly Requirement[], remedy: string): LabError {
  const names = missing.map(({ name }) => name).join(", ");
  return new LabError("requirement-missing", `this machine has no ${names}: ${remedy}`);
}

/**
 * Debian starts a service as soon as its package is there. The lab wants only the program: the service is kept from
 * starting now and at the next boot. A service that was there before is not touched, since then nothing is installed.
 */
async function installPackages(packages: readonly string[]): Promise<void> {
  const services = packages.flatMap((name) => SERVICES[name] ?? []);
  const units = fileExists(SYSTEMD_MARK) ? services.flatMap((name) => UNITS[name] ?? []) : [];
  if (units.length > 0) {
    await run(["systemctl", "mask", "--runtime", ...units]);
  }
  try {
    if (!fileExists(`${PACKAGE_LISTS}/lock`) || !(await aptGet(installCommand(packages)))) {
      await aptGet(["apt-get", "update"]);
      if (!(await aptGet(installCommand(packages)))) {
        throw new LabError(
          "requirement-missing",
          `${installCommand(packages).join(" ")} did not succeed`,
        );
      }
    }
  } finally {
    if (units.length > 0) {
      await run(["systemctl", "unmask", "--runtime", ...units]);
    }
  }
  for (const service of services) {
    await disableService(service);
  }
}

/** In whatever init systems there are: one that does not run now may at the next boot. */
async function disableService(name: string): Promise<void> {
  if (findProgram("update-rc.d") !== undefined) {
    await run(["update-rc.d", name, "disable"]);
  }
  if (findProgram("systemctl") !== undefined) {
    await run(["systemctl", "disable", ...(UNITS[name] ?? [])]);
  }
}

/** Debian's scripts ask `runlevel`, which believes RUNLEVEL: nothing is started in 1, single user. */
async function aptGet(argv: readonly string[]): Promise<boolean> {
  const environment = ["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];
  return (await runAttached(["env", ...environment, ...argv], { quiet: true })) === 0;
}

async function checkNamespaces(): Promise<void> {
  const kinds = isRoot() ? ["--net"] : ["--user", "--map-root-user", "--net"];
  const { exitCode, stderr } = await run(["unshare", ...kinds, "true"]);
  if (exitCode !== 0) {
    throw new LabError(
      "requirement-missing",
      `cannot make namespaces (${stderr.trim()}): run as root, or allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`,
    );
  }
}
