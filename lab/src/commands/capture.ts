import { LabError } from "../errors.ts";
import { parseDuration } from "../faults/request.ts";
import {
  installCommand,
  missingRequirements,
  packagesOf,
  type Requirement,
} from "../requirements.ts";
import { isRoot } from "../system/machine.ts";
import { runAttached } from "../system/processes.ts";
import { EXTERNAL_INTERFACE } from "../topology.ts";
import type { Command } from "./command.ts";
import { anchorOf, enter, matchHosts } from "./exec.ts";
import { NAME_FLAG, type ParsedFlags, parseFlags } from "./flags.ts";
import { withLab } from "./open-lab.ts";

const TCPDUMP: Requirement = {
  name: "tcpdump",
  what: { program: "tcpdump" },
  packages: ["tcpdump"],
};
const DEFAULT_COUNT = 100;
const DEFAULT_TIME = "10s";
const MAX_COUNT = 1_000_000;
const MAX_TIME_MS = 3_600_000;

/** The shell that opens the file is in the caller's directory; tcpdump itself may be kept from writing by AppArmor. */
const INTO_FILE = 'exec "$@" >"$0"';

const USER_NAMESPACE_HINT =
  "lab: this lab is in a user namespace, where a tcpdump that gives up root (Debian's does) cannot work: bring the lab up as root\n";

/** What to look at, and when to stop. */
export interface CaptureWishes {
  readonly interfaceName: string;
  readonly count: number;
  readonly forMs: number;
  readonly file?: string;
  /** Words of pcap-filter(7). */
  readonly filter: readonly string[];
}

export const capture: Command = {
  name: "capture",
  usage: "HOST [FLAGS] [FILTER…]",
  summary:
    "Prints the packets of a host's interface, or writes them into a file, by tcpdump(8), until enough were seen or the time is over. FILTER is as in pcap-filter(7).",
  flags: {
    interface: {
      type: "string",
      value: "LINK",
      help: `which one, or any (default ${EXTERNAL_INTERFACE})`,
    },
    pod: { type: "boolean", help: "in the host's pod" },
    count: { type: "string", value: "N", help: `stop after N packets (default ${DEFAULT_COUNT})` },
    for: {
      type: "string",
      value: "TIME",
      help: `stop after 500ms, 10s, 2m (default ${DEFAULT_TIME})`,
    },
    write: { type: "string", value: "FILE", help: "write pcap into this file instead of text" },
    name: NAME_FLAG,
  },
  operands: ["host-or-store"],
  run: async (argv, terminal) => {
    const flags = parseFlags(capture, argv, { maxPositionals: Number.POSITIVE_INFINITY });
    const [host, ...filter] = flags.positionals;
    if (host === undefined) {
      throw new LabError("usage", "lab capture wants a host: lab capture n1 icmp");
    }
    const wishes = wishesOf(flags, filter);
    refuseWithoutTcpdump();
    const { line, usesUserNamespace } = await withLab(flags, async ({ lab }, state) => {
      const status = await lab.status({});
      const names = matchHosts(host, status);
      const [only = host] = names;
      if (names.length !== 1) {
        throw new LabError("usage", `lab capture looks at one host, not at ${names.join(", ")}`);
      }
      const command = captureCommand(wishes, state.lab);
      return {
        line: enter(state.lab, anchorOf(status, only, flags.isOn("pod")), command),
        usesUserNamespace: state.lab.usesUserNamespace,
      };
    });
    const exitCode = await runAttached(line);
    if (exitCode !== 0 && usesUserNamespace) {
      terminal.error(USER_NAMESPACE_HINT);
    }
    return exitCode;
  },
};

/**
 * tcpdump as it is run: it stays root (`-Z root`), whose host it is, and `timeout` ends it as Ctrl-C does, with its summary and
 * its own exit code. In a user namespace nobody may change his groups, and `-Z` would. Source: tcpdump(8), timeout(1), user_namespaces(7).
 */
export function captureCommand(
  wishes: CaptureWishes,
  { usesUserNamespace }: { readonly usesUserNamespace: boolean },
): string[] {
  const { interfaceName, count, forMs, file, filter } = wishes;
  const limit = [
    "timeout",
    "--foreground",
    "--preserve-status",
    "--signal=INT",
    `${forMs / 1000}s`,
  ];
  const user = usesUserNamespace ? [] : ["-Z", "root"];
  const tcpdump = ["tcpdump", ...user, "-nn", "-i", interfaceName, "-c", String(count)];
  return file === undefined
    ? [...limit, ...tcpdump, "-l", "--", ...filter]
    : ["sh", "-c", INTO_FILE, file, ...limit, ...tcpdump, "-U", "-w", "-", "--", ...filter];
}

function wishesOf(flags: ParsedFlags, filter: readonly string[]): CaptureWishes {
  const count = flags.number("count") ?? DEFAULT_COUNT;
  if (count < 1 || count > MAX_COUNT) {
    throw new LabError("usage", `--count wants a whole number from 1 to ${MAX_COUNT}`);
  }
  const time = flags.text("for") ?? DEFAULT_TIME;
  const forMs = parseDuration("--for", time);
  if (forMs < 1 || forMs > MAX_TIME_MS) {
    throw new LabError("usage", `--for ${time}: a capture can last from 1ms to 1h`);
  }
  const file = flags.text("write");
  return {
    interfaceName: flags.text("interface") ?? EXTERNAL_INTERFACE,
    count,
    forMs,
    ...(file === undefined ? {} : { file }),
    filter,
  };
}

function refuseWithoutTcpdump(): void {
  const missing = missingRequirements([TCPDUMP]);
  if (missing.length > 0) {
    const install = installCommand(packagesOf(missing)).join(" ");
    throw new LabError(
      "requirement-missing",
      `this machine has no tcpdump: on Debian run ${isRoot() ? "" : "sudo "}${install}`,
    );
  }
}
