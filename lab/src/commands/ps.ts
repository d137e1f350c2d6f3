import { outerProcessIds } from "../system/process-table.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, NAME_FLAG, parseFlags } from "./flags.ts";
import { runDirectoryOf, withLab } from "./open-lab.ts";
import { formatNodes, nodeDocument } from "./status-text.ts";

export const ps: Command = {
  name: "ps",
  usage: "[FLAGS]",
  summary: "Lists the nodes: addresses, leased subnet, routes to peers, state of the agent.",
  flags: { name: NAME_FLAG, json: JSON_FLAG },
  run: async (argv, terminal) => {
    const flags = parseFlags(ps, argv, { maxPositionals: 0 });
    await withLab(flags, async ({ lab }, state) => {
      const status = await lab.status({});
      const outer = outerProcessIds(state.lab.init.pid);
      if (!flags.isOn("json")) {
        terminal.out(formatNodes(status, outer));
        return;
      }
      const document = {
        name: status.name,
        runDirectory: runDirectoryOf(flags),
        supervisorPid: state.lab.supervisor.pid,
        store: { endpoint: status.store.endpoint, version: status.store.version },
        nodes: status.hosts.map((host) => nodeDocument(host, outer)),
      };
      terminal.out(`${JSON.stringify(document, undefined, 2)}\n`);
    });
    return 0;
  },
};
