import { LabError } from "../errors.ts";
import type { HostStatus, Lab } from "../lab.ts";
import { outerProcessIds } from "../system/process-table.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, NAME_FLAG, type ParsedFlags, parseFlags } from "./flags.ts";
import { withLab } from "./open-lab.ts";
import { nodeDocument } from "./status-text.ts";

const DEFAULT_TIMEOUT_SECONDS = 30;
const VERBS = ["add", "rm", "restart"] as const;

export const node: Command = {
  name: "node",
  usage: "add [HOST] | rm HOST | restart HOST [FLAGS]",
  summary:
    "Adds a host and waits until its pod reaches all; takes a host away; ends and starts the agent of a host.",
  flags: {
    "keep-lease": {
      type: "boolean",
      help: "rm: leave the lease in the store, as a power cut does",
    },
    signal: {
      type: "string",
      value: "SIGNAL",
      help: "restart: how to end the agent (default SIGTERM)",
    },
    kill: { type: "boolean", help: "restart: end the agent with SIGKILL" },
    timeout: {
      type: "string",
      value: "SECONDS",
      help: "add, restart: give up after this long (default 30)",
    },
    name: NAME_FLAG,
    json: JSON_FLAG,
  },
  operands: [VERBS, "host"],
  run: async (argv, terminal) => {
    const flags = parseFlags(node, argv, { maxPositionals: 2 });
    const [word, host] = flags.positionals;
    const verb = VERBS.find((candidate) => candidate === word);
    if (verb === undefined || (host === undefined && verb !== "add")) {
      throw new LabError("usage", `lab node wants ${node.usage}`);
    }
    const wishes: Wishes = {
      signal: signalOf(flags),
      keepLease: flags.isOn("keep-lease"),
      timeoutMs: 1000 * (flags.number("timeout") ?? DEFAULT_TIMEOUT_SECONDS),
    };
    await withLab(flags, async ({ lab }, state) => {
      const changed = await change(lab, verb, host, wishes);
      const document =
        typeof changed === "string"
          ? { name: changed, state: "removed" }
          : nodeDocument(changed, outerProcessIds(state.lab.init.pid));
      terminal.out(
        flags.isOn("json")
          ? `${JSON.stringify(document, undefined, 2)}\n`
          : `✓ ${document.name} ${document.state}\n`,
      );
    });
    return 0;
  },
};

interface Wishes {
  readonly signal: NodeJS.Signals;
  readonly keepLease: boolean;
  readonly timeoutMs: number;
}

/** The host as it is afterwards, or the name of one that is gone. */
async function change(
  lab: Lab,
  verb: (typeof VERBS)[number],
  host: string | undefined,
  { signal, keepLease, timeoutMs }: Wishes,
): Promise<HostStatus | string> {
  if (verb === "rm" && host !== undefined) {
    await lab.removeHost({ host, keepLease });
    return host;
  }
  const name =
    verb === "restart" && host !== undefined
      ? await restart(lab, host, signal)
      : (await lab.addHost(host === undefined ? {} : { host })).name;
  await lab.waitReady({ hosts: [name], timeoutMs });
  await lab.waitReachable({ timeoutMs });
  const { hosts } = await lab.status({});
  return hosts.find((candidate) => candidate.name === name) ?? name;
}

async function restart(lab: Lab, host: string, signal: NodeJS.Signals): Promise<string> {
  const { hosts } = await lab.status({});
  const state = hosts.find(({ name }) => name === host)?.state;
  if (state === "starting" || state === "ready") {
    await lab.killAgent({ host, signal });
  }
  await lab.startAgent({ host });
  return host;
}

function signalOf(flags: ParsedFlags): NodeJS.Signals {
  const asked = flags.text("signal");
  if (flags.isOn("kill") && asked !== undefined) {
    throw new LabError("usage", `--kill is --signal SIGKILL: leave out --signal ${asked}`);
  }
  const name = flags.isOn("kill") ? "SIGKILL" : (asked ?? "SIGTERM");
  const signals: readonly NodeJS.Signals[] = ["SIGTERM", "SIGKILL", "SIGINT", "SIGHUP", "SIGQUIT"];
  const signal = signals.find((candidate) => candidate === name || candidate === `SIG${name}`);
  if (signal === undefined) {
    throw new LabError("usage", `--signal wants one of ${signals.join(", ")}, not "${name}"`);
  }
  return signal;
}
