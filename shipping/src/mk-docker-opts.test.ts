import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { REPOSITORY } from "./bundle.ts";

const SCRIPT = join(REPOSITORY, "deploy/docker/mk-docker-opts.sh");
const SUBNET_ENV = `FLANNEL_NETWORK=10.1.0.0/16
FLANNEL_SUBNET=10.1.74.1/24
FLANNEL_MTU=1472
FLANNEL_IPMASQ=false
`;
const EACH = `DOCKER_OPT_BIP="--bip=10.1.74.1/24"
DOCKER_OPT_IPMASQ="--ip-masq=true"
DOCKER_OPT_MTU="--mtu=1472"
`;
const ALL = "--bip=10.1.74.1/24 --ip-masq=true --mtu=1472";

let home = "";

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "mk-docker-opts-"));
  mkdirSync(join(home, "bin"));
  routes("10.1.74.0/24 dev docker0 proto kernel scope link src 10.1.74.1");
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

/** Puts an `ip` in front of the machine's, which says these routes. */
function routes(text: string): void {
  const program = join(home, "bin/ip");
  writeFileSync(program, `#!/bin/sh\n[ "$*" = "route show" ] && echo '${text}'\n`);
  chmodSync(program, 0o755);
}

interface Outcome {
  readonly status: number | null;
  readonly stderr: string;
  /** Undefined when there is no file. */
  readonly written: string | undefined;
}

function mkDockerOpts(
  flags: readonly string[],
  subnetEnv: string | undefined = SUBNET_ENV,
  environment: Readonly<Record<string, string>> = {},
): Outcome {
  const [from, to] = [join(home, "subnet.env"), join(home, "docker_opts.env")];
  if (subnetEnv !== undefined) writeFileSync(from, subnetEnv);
  const argv = [SCRIPT, ...flags.map((flag) => flag.replace("$HOME", home))];
  const { status, stderr } = spawnSync("sh", ["-c", 'exec "$0" "$@"', ...argv], {
    cwd: home,
    encoding: "utf8",
    env: { PATH: `${join(home, "bin")}:/usr/bin:/bin`, ...environment },
  });
  return { status, stderr, written: existsSync(to) ? readFileSync(to, "utf8") : undefined };
}

const FILES = ["-f", "$HOME/subnet.env", "-d", "$HOME/docker_opts.env"];

// Source: spec 01 section 12, golden outputs of flannel's mk-docker-opts.sh.
test.each<[what: string, flags: readonly string[], written: string]>([
  ["both forms without a flag", [], `${EACH}DOCKER_OPTS=" ${ALL}"\n`],
  ["both forms with both flags", ["-i", "-c"], `${EACH}DOCKER_OPTS=" ${ALL}"\n`],
  ["flags in one word", ["-ic"], `${EACH}DOCKER_OPTS=" ${ALL}"\n`],
  ["a variable for each with -i", ["-i"], EACH],
  ["one variable with -c", ["-c"], `DOCKER_OPTS=" ${ALL}"\n`],
  ["another name with -k", ["-k", "CUSTOM_KEY"], `${EACH}CUSTOM_KEY=" ${ALL}"\n`],
  [
    "no masquerading with -m",
    ["-m"],
    `DOCKER_OPT_BIP="--bip=10.1.74.1/24"\nDOCKER_OPT_MTU="--mtu=1472"\nDOCKER_OPTS=" --bip=10.1.74.1/24 --mtu=1472"\n`,
  ],
])("%s", (_what, flags, written) => {
  expect(mkDockerOpts([...FILES, ...flags])).toEqual({ status: 0, stderr: "", written });
});

test.each<[what: string, environment: Readonly<Record<string, string>>, written: string]>([
  ["what the variable held comes first", { DOCKER_OPTS: "--x" }, `DOCKER_OPTS="--x  ${ALL}"\n`],
  [
    "other options of the environment are taken along, in the order of the alphabet",
    { DOCKER_OPT_DEBUG: "--debug", DOCKER_OPT_ZONE: "--label=zone=a" },
    `DOCKER_OPTS=" --bip=10.1.74.1/24 --debug --ip-masq=true --mtu=1472 --label=zone=a"\n`,
  ],
  [
    "a line in the middle of a value is no option",
    { OTHER: "a\nDOCKER_OPT_FALSE=--b" },
    `DOCKER_OPTS=" ${ALL}"\n`,
  ],
])("%s", (_what, environment, written) => {
  expect(mkDockerOpts([...FILES, "-c"], SUBNET_ENV, environment)).toEqual({
    status: 0,
    stderr: "",
    written,
  });
});

test.each<[value: string, option: string]>([
  ["true", "false"],
  ["false", "true"],
])("who masquerades is the other one: FLANNEL_IPMASQ=%s", (value, option) => {
  const outcome = mkDockerOpts([...FILES, "-c"], `FLANNEL_IPMASQ=${value}\n`);
  expect(outcome).toEqual({
    status: 0,
    stderr: "",
    written: `DOCKER_OPTS=" --ip-masq=${option}"\n`,
  });
});

test.each(["yes", "TRUE", "0", "true "])(
  "FLANNEL_IPMASQ='%s' is refused, the output untouched",
  (value) => {
    writeFileSync(join(home, "docker_opts.env"), "before\n");
    expect(mkDockerOpts(FILES, `${SUBNET_ENV}FLANNEL_IPMASQ='${value}'\n`)).toEqual({
      status: 1,
      stderr: `Invalid value of FLANNEL_IPMASQ: ${value}\n`,
      written: "before\n",
    });
    // Left out, it is not looked at.
    expect(mkDockerOpts([...FILES, "-m"], `FLANNEL_IPMASQ='${value}'\n`).status).toBe(0);
  },
);

test("a file of flannel's that is not there is skipped, and the output emptied", () => {
  writeFileSync(join(home, "docker_opts.env"), "before\n");
  const outcome = mkDockerOpts([...FILES.with(1, "$HOME/nowhere.env"), "-i"]);
  expect(outcome).toEqual({ status: 0, stderr: "", written: "" });
});

test("paths may be relative, and a bare name is not looked for in PATH", () => {
  const outcome = mkDockerOpts(["-f", "subnet.env", "-d", "docker_opts.env", "-i"]);
  expect(outcome).toEqual({ status: 0, stderr: "", written: EACH });
});

test.each([["-h"], ["-?"], ["-x"], ["-k"]])(
  "%s gives the usage and 1, and writes nothing",
  (flag) => {
    const { status, stderr, written } = mkDockerOpts([...FILES, flag]);
    expect(status).toBe(1);
    expect(stderr).toContain("-f FLANNEL-ENV-FILE");
    expect(written).toBeUndefined();
  },
);

test.each(["", "9KEY", "A-B", "X;touch pwned", "$(touch pwned)"])(
  "-k '%s' is no name of a variable",
  (key) => {
    expect(mkDockerOpts([...FILES, "-k", key])).toEqual({
      status: 1,
      stderr: `Invalid name of a variable: -k ${key}\n`,
      written: undefined,
    });
    expect(existsSync(join(home, "pwned"))).toBe(false);
  },
);

test.each<[route: string, isTaken: boolean]>([
  ["10.1.74.0/24 via 192.0.2.1 dev eth0", true],
  ["10.1.74.0/24 dev docker0 proto kernel scope link src 10.1.74.1", false],
  ["10.1.174.0/24 via 192.0.2.1 dev eth0", false],
  ["110.1.74.0/24 via 192.0.2.1 dev eth0", false],
])("a subnet that is routed elsewhere is told after writing: %s", (route, isTaken) => {
  routes(route);
  expect(mkDockerOpts([...FILES, "-i"])).toEqual({
    status: isTaken ? 1 : 0,
    stderr: isTaken ? `Your routing table already contains the subnet: ${route}\n` : "",
    written: EACH,
  });
});

test("a directory that does not exist is an error", () => {
  const { status, stderr } = mkDockerOpts(["-f", "$HOME/subnet.env", "-d", "$HOME/no/where"]);
  expect(status).toBe(1);
  expect(stderr).toContain("no/where");
});
