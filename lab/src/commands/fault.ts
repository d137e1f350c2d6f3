import { LabError } from "../errors.ts";
import type { AnyFault } from "../faults/fault.ts";
import { FAULTS } from "../faults/registry.ts";
import { checkFaultRequest, parseDuration } from "../faults/request.ts";
import type { FaultReport, FaultRequest } from "../lab.ts";
import { formatTable } from "../table.ts";
import type { Command, FlagTable } from "./command.ts";
import { JSON_FLAG, NAME_FLAG, type ParsedFlags, parseFlags } from "./flags.ts";
import { withLab } from "./open-lab.ts";

const EXIT_UNSEEN = 2;

export const fault: Command = {
  name: "fault",
  usage: "ls | NAME [HOST] [FLAGS]",
  summary: [
    "Breaks something in a running lab until lab heal, and says who saw it. Exits with 2 when nobody did. The faults:",
    "",
    formatTable([...FAULTS.values()].map(describe)).trimEnd(),
  ].join("\n"),
  flags: {
    ...parameterFlags(),
    pretend: {
      type: "boolean",
      help: "all but the harm: shows that nobody sees an effect where there is none",
    },
    for: { type: "string", value: "TIME", help: "heal it by itself after 500ms, 10s, 2m" },
    name: NAME_FLAG,
    json: JSON_FLAG,
  },
  operands: [["ls", ...FAULTS.keys()], "host"],
  run: async (argv, terminal) => {
    const flags = parseFlags(fault, argv, { maxPositionals: 2 });
    const [word, host] = flags.positionals;
    if (word === undefined) {
      throw new LabError(
        "usage",
        `lab fault wants ${fault.usage}; lab fault --help lists the faults`,
      );
    }
    if (word === "ls") {
      const reports = await withLab(flags, ({ lab }) => lab.listFaults({}));
      terminal.out(flags.isOn("json") ? `${JSON.stringify(reports)}\n` : formatFaults(reports));
      return 0;
    }
    const request = requestOf(word, host, flags);
    const report = await withLab(flags, ({ lab }) => lab.injectFault(request));
    terminal.out(flags.isOn("json") ? `${JSON.stringify(report)}\n` : formatFaults([report]));
    return report.saw === undefined ? EXIT_UNSEEN : 0;
  },
};

/** One line a fault: its id, what it is, who saw it, and how long it lasts. */
export function formatFaults(reports: readonly FaultReport[]): string {
  return reports.length === 0
    ? "no fault is on\n"
    : formatTable(
        reports.map(({ id, text, saw, remainingMs }) => [
          `${saw === undefined ? "?" : "✓"} ${id}`,
          text,
          remainingMs === undefined ? "until healed" : `${(remainingMs / 1000).toFixed(1)} s more`,
          saw ?? "nobody saw its effect",
        ]),
      );
}

function requestOf(name: string, host: string | undefined, flags: ParsedFlags): FaultRequest {
  const given = Object.keys(parameterFlags()).flatMap((flag): [string, string][] => {
    const text = flags.text(flag);
    return text === undefined ? [] : [[flag, text]];
  });
  const time = flags.text("for");
  return checkFaultRequest({
    fault: name,
    ...(host === undefined ? {} : { host }),
    parameters: Object.fromEntries(given),
    ...(flags.isOn("pretend") ? { pretend: true } : {}),
    ...(time === undefined ? {} : { forMs: parseDuration("--for", time) }),
  });
}

/** Every parameter of every fault; which of them a fault takes is checked with its name. */
function parameterFlags(): FlagTable {
  const all = [...FAULTS.values()].flatMap(({ parameters }) => Object.entries(parameters));
  return Object.fromEntries(
    all.map(([name, { help, value }]) => [
      name,
      {
        type: "string",
        value: value.kind === "word" ? value.words.join("|") : value.kind.toUpperCase(),
        help,
      },
    ]),
  );
}

function describe({ name, place, parameters, summary }: AnyFault): string[] {
  const flags = Object.entries(parameters).map(([flag, { byDefault }]) =>
    byDefault === undefined ? `--${flag}` : `[--${flag}]`,
  );
  return [`  ${[name, ...(place === "host" ? ["HOST"] : []), ...flags].join(" ")}`, summary];
}
