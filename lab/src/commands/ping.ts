import type { IpFamily } from "../addresses.ts";
import { LabError } from "../errors.ts";
import { failedPairs, type PingRequest } from "../lab.ts";
import { formatPingMatrix, summarizePings } from "../observe/ping-table.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, NAME_FLAG, type ParsedFlags, parseFlags } from "./flags.ts";
import { withLab } from "./open-lab.ts";

const MAX_COUNT = 10_000;

export const ping: Command = {
  name: "ping",
  usage: "[FLAGS]",
  summary:
    "Pings from every pod to every pod. Exits with 1 when a pair that should answer does not.",
  flags: {
    count: { type: "string", value: "N", help: "packets per pair, all must come back (default 1)" },
    family: {
      type: "string",
      value: "v4|v6",
      help: "only this IP family (default: those of the lab)",
    },
    name: NAME_FLAG,
    json: JSON_FLAG,
  },
  run: async (argv, terminal) => {
    const flags = parseFlags(ping, argv, { maxPositionals: 0 });
    const request = requestOf(flags);
    const matrix = await withLab(flags, ({ lab }) => lab.ping(request));
    const failed = failedPairs(matrix).length;
    terminal.out(
      flags.isOn("json")
        ? `${JSON.stringify({ ...matrix, failed }, undefined, 2)}\n`
        : `${formatPingMatrix(matrix)}${summarizePings(matrix)}\n`,
    );
    return failed === 0 ? 0 : 1;
  },
};

const FAMILIES: Readonly<Record<string, IpFamily>> = { v4: "ipv4", v6: "ipv6" };

function requestOf(flags: ParsedFlags): PingRequest {
  const count = flags.number("count") ?? 1;
  if (count < 1 || count > MAX_COUNT) {
    throw new LabError("usage", `--count wants a whole number from 1 to ${MAX_COUNT}`);
  }
  const name = flags.text("family");
  const family = name === undefined ? undefined : FAMILIES[name];
  if (name !== undefined && family === undefined) {
    throw new LabError("usage", `--family wants v4 or v6, not "${name}"`);
  }
  return { count, ...(family === undefined ? {} : { families: [family] }) };
}
