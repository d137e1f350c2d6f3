import { LabError } from "../errors.ts";
import { enterNamespaces } from "../hosts/anchor.ts";
import type { LabStatus } from "../lab.ts";
import type { LabState } from "../state.ts";
import { workingDirectory } from "../system/machine.ts";
import { run, runAttached } from "../system/processes.ts";
import type { Terminal } from "../system/terminal.ts";
import type { Command } from "./command.ts";
import { NAME_FLAG, parseFlags } from "./flags.ts";
import { withLab } from "./open-lab.ts";

/** Goes where the caller is, as far as that is there. */
const AT_CALLERS_PLACE = 'cd "$0" 2>/dev/null; exec "$@"';

export const exec: Command = {
  name: "exec",
  usage: "HOST[,HOST…] [--pod] [--] CMD…",
  summary:
    "Runs a command in a host (n1), its pod (--pod) or the store (etcd). Several hosts, or 'n*', print with a prefix.",
  flags: {
    pod: { type: "boolean", help: "in the host's pod" },
    name: NAME_FLAG,
  },
  operands: ["host-or-store", "file"],
  ownWords: (argv) => splitCommand(argv).own,
  run: async (argv, terminal) => {
    const { own, command } = splitCommand(argv);
    const flags = parseFlags(exec, own, { maxPositionals: 1 });
    const pattern = flags.positionals[0];
    if (pattern === undefined || command.length === 0) {
      throw new LabError("usage", "lab exec wants a host and a command: lab exec n1 -- ip route");
    }
    const { status, state } = await withLab(flags, async ({ lab }, running) => ({
      status: await lab.status({}),
      state: running.lab,
    }));
    const names = matchHosts(pattern, status);
    const lines = names.map((name) => ({
      name,
      argv: enter(state, anchorOf(status, name, flags.isOn("pod")), command),
    }));
    const [only] = lines;
    return lines.length === 1 && only !== undefined
      ? runAttached(only.argv)
      : runPrefixed(lines, terminal);
  },
};

/** The lab's own words end at `--`, or after the host and the flags behind it: what follows belongs to the command. */
export function splitCommand(argv: readonly string[]): {
  readonly own: readonly string[];
  readonly command: readonly string[];
} {
  const dashes = argv.indexOf("--");
  if (dashes >= 0) {
    return { own: argv.slice(0, dashes), command: argv.slice(dashes + 1) };
  }
  let end = 0;
  let hosts = 0;
  while (end < argv.length && (hosts === 0 || argv[end]?.startsWith("--") === true)) {
    const word = argv[end];
    hosts += word?.startsWith("--") === true ? 0 : 1;
    end += word === "--name" ? 2 : 1;
  }
  return { own: argv.slice(0, end), command: argv.slice(end) };
}

/** The hosts that a list of names and patterns with `*` means, in order. @throws LabError "unknown-host" */
export function matchHosts(pattern: string, status: LabStatus): string[] {
  const members = status.store.members.map(({ name }) => name);
  const known = [...status.hosts.map(({ name }) => name), ...members];
  const found = new Set<string>();
  for (const part of pattern.split(",")) {
    const escaped = part.replaceAll(/[^*\w-]/g, "\\$&").replaceAll("*", ".*");
    const expression = new RegExp(`^${escaped}$`);
    const matching = known.filter(
      (name) => (part.includes("*") ? !members.includes(name) : true) && expression.test(name),
    );
    if (matching.length === 0) {
      throw new LabError(
        "unknown-host",
        `there is no host "${part}"; there are ${known.join(", ")}`,
      );
    }
    matching.forEach((name) => found.add(name));
  }
  return [...found];
}

/** The process whose namespaces a host, its pod or a member of the store is in. @throws LabError "wrong-state" without a pod */
export function anchorOf(status: LabStatus, name: string, inPod: boolean): number {
  const host = status.hosts.find((candidate) => candidate.name === name);
  const member = status.store.members.find((candidate) => candidate.name === name);
  if (member !== undefined) {
    return member.anchorPid;
  }
  const pid = inPod ? host?.podAnchorPid : host?.anchorPid;
  if (pid === undefined) {
    const why = host === undefined ? "is not there" : `has no pod yet: its agent is ${host.state}`;
    throw new LabError("wrong-state", `host ${name} ${why}`);
  }
  return pid;
}

/** First into the lab's namespaces, by a process id that we see, then into the host's, by one that the lab sees. */
export function enter(
  lab: NonNullable<LabState["lab"]>,
  anchorPid: number,
  command: readonly string[],
): string[] {
  const lines = enterNamespaces(anchorPid, [
    "sh",
    "-c",
    AT_CALLERS_PLACE,
    workingDirectory(),
    ...command,
  ]);
  const user = lab.usesUserNamespace ? ["--user", "--preserve-credentials"] : [];
  return enterNamespaces(lab.init.pid, lines, [...user, "--pid"]);
}

/** Runs all at once; prints their output in the order of the hosts. Returns the highest exit code. */
async function runPrefixed(
  lines: readonly { readonly name: string; readonly argv: readonly string[] }[],
  terminal: Terminal,
): Promise<number> {
  const results = await Promise.all(lines.map(({ argv }) => run(argv)));
  results.forEach(({ stdout, stderr }, index) => {
    const name = lines[index]?.name ?? "";
    terminal.out(prefixed(name, stdout));
    terminal.error(prefixed(name, stderr));
  });
  return Math.max(...results.map(({ exitCode }) => exitCode));
}

function prefixed(name: string, text: string): string {
  return text.replaceAll(/^(?!$)/gm, `${name}: `);
}
