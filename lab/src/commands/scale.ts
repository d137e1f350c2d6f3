import { LabError } from "../errors.ts";
import type { Lab } from "../lab.ts";
import { MAX_NODES } from "../options.ts";
import { outerProcessIds } from "../system/process-table.ts";
import { hostIndex } from "../topology.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, NAME_FLAG, parseFlags } from "./flags.ts";
import { withLab } from "./open-lab.ts";
import { nodeDocument } from "./status-text.ts";

const DEFAULT_TIMEOUT_SECONDS = 30;

/** One host that comes or goes. */
export interface ScaleStep {
  readonly verb: "add" | "rm";
  readonly host: string;
}

export const scale: Command = {
  name: "scale",
  usage: "N [FLAGS]",
  summary:
    "Adds hosts under the lowest free names, or takes those with the highest away, one after another, until there are N; then waits until all pods reach all pods.",
  flags: {
    timeout: {
      type: "string",
      value: "SECONDS",
      help: `give up a host after this long (default ${DEFAULT_TIMEOUT_SECONDS})`,
    },
    name: NAME_FLAG,
    json: JSON_FLAG,
  },
  run: async (argv, terminal) => {
    const flags = parseFlags(scale, argv, { maxPositionals: 1 });
    const wanted = parseCount(flags.positionals[0]);
    const timeoutMs = 1000 * (flags.number("timeout") ?? DEFAULT_TIMEOUT_SECONDS);
    const asJson = flags.isOn("json");
    await withLab(flags, async ({ lab }, state) => {
      await scaleTo(lab, wanted, timeoutMs, ({ verb, host }) => {
        if (!asJson) {
          terminal.out(`✓ ${host} ${verb === "add" ? "ready" : "removed"}\n`);
        }
      });
      const { name, hosts } = await lab.status({});
      const outer = outerProcessIds(state.lab.init.pid);
      const nodes = hosts.map((host) => nodeDocument(host, outer));
      terminal.out(
        asJson
          ? `${JSON.stringify({ name, nodes }, undefined, 2)}\n`
          : `✓ lab "${name}" has ${nodes.length} node${nodes.length === 1 ? "" : "s"}\n`,
      );
    });
    return 0;
  },
};

/** The next host to add or to take away; undefined when there are as many as wanted. */
export function nextStep(names: readonly string[], wanted: number): ScaleStep | undefined {
  const indexes = names.map((name) => hostIndex(name) ?? 0);
  if (indexes.length > wanted) {
    return { verb: "rm", host: `n${Math.max(...indexes)}` };
  }
  const all = Array.from({ length: MAX_NODES }, (_, index) => index + 1);
  const free = all.find((index) => !indexes.includes(index));
  return indexes.length === wanted || free === undefined
    ? undefined
    : { verb: "add", host: `n${free}` };
}

/** One after another: a cluster that grows or shrinks, not one that is made anew. */
async function scaleTo(
  lab: Lab,
  wanted: number,
  timeoutMs: number,
  done: (step: ScaleStep) => void,
): Promise<void> {
  const { hosts } = await lab.status({});
  const names = new Set(hosts.map(({ name }) => name));
  for (;;) {
    const step = nextStep([...names], wanted);
    if (step === undefined) {
      break;
    }
    const { verb, host } = step;
    if (verb === "rm") {
      await lab.removeHost({ host });
      names.delete(host);
    } else {
      await lab.addHost({ host });
      await lab.waitReady({ hosts: [host], timeoutMs });
      names.add(host);
    }
    done(step);
  }
  await lab.waitReady({ timeoutMs });
  await lab.waitReachable({ timeoutMs });
}

function parseCount(text: string | undefined): number {
  const count = /^\d{1,3}$/.test(text ?? "") ? Number(text) : 0;
  if (count < 1 || count > MAX_NODES) {
    throw new LabError(
      "usage",
      `lab scale wants a whole number from 1 to ${MAX_NODES}${text === undefined ? "" : `, not "${text}"`}`,
    );
  }
  return count;
}
