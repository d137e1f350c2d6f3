import { LabError } from "../errors.ts";
import { graphOf, type LabGraph, onSameSegment } from "../graph/lab-graph.ts";
import { formatSvg } from "../graph/svg.ts";
import { formatDot, formatMermaid } from "../graph/text-drawings.ts";
import { readHostSeen } from "../observe/host-seen.ts";
import type { Command } from "./command.ts";
import { NAME_FLAG, parseFlags } from "./flags.ts";
import { withLab } from "./open-lab.ts";

const FORMATS: ReadonlyMap<string, (graph: LabGraph) => string> = new Map([
  ["mermaid", formatMermaid],
  ["dot", formatDot],
  ["svg", formatSvg],
]);
const DEFAULT_FORMAT = "mermaid";

export const graph: Command = {
  name: "graph",
  usage: "[FLAGS]",
  summary:
    "Draws the lab as its kernels are: hosts, segments, addresses, pod subnets, and to which peer each host's routes lead. What is missing or leads elsewhere is marked.",
  flags: {
    format: {
      type: "string",
      value: [...FORMATS.keys()].join("|"),
      help: `default ${DEFAULT_FORMAT}`,
    },
    name: NAME_FLAG,
  },
  run: async (argv, terminal) => {
    const flags = parseFlags(graph, argv, { maxPositionals: 0 });
    const name = flags.text("format") ?? DEFAULT_FORMAT;
    const format = FORMATS.get(name);
    if (format === undefined) {
      throw new LabError(
        "usage",
        `--format wants one of ${[...FORMATS.keys()].join(", ")}, not "${name}"`,
      );
    }
    const drawn = await withLab(flags, async ({ lab }, { options }) => {
      const { hosts } = await lab.status({});
      const seen = await Promise.all(hosts.map((host) => readHostSeen(lab, host.name)));
      return graphOf(
        seen,
        (from, to) =>
          options.expect === "all" ||
          (options.expect === "same-segment" && onSameSegment(from, to)),
      );
    });
    terminal.out(format(drawn));
    return 0;
  },
};
