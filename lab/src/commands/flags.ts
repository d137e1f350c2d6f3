import { parseArgs } from "node:util";
import { LabError, messageOf } from "../errors.ts";
import { HOST_DRIVERS, type HostDriverName } from "../options.ts";
import { formatTable } from "../table.ts";
import type { Command, FlagTable } from "./command.ts";

/** Flags that more than one verb has. */
export const NAME_FLAG = {
  type: "string",
  value: "NAME",
  help: 'which lab (default "default")',
} as const;
export const JSON_FLAG = {
  type: "boolean",
  help: "print one JSON document and nothing else on stdout",
} as const;

export const FLANNELD_FLAG = {
  type: "string",
  multiple: true,
  value: "[HOST=]CMD",
  help: "the agent to run (default: this repository's); n1=CMD or 'n*=CMD' for some hosts only",
} as const;

export const DRIVER_FLAG = {
  type: "string",
  value: "netns|container",
  help: "what hosts are: namespaces of this machine, or Docker containers (default netns)",
} as const;

/** @throws LabError "usage" for what is no driver's name */
export function driverOf(flags: ParsedFlags): HostDriverName | undefined {
  const wanted = flags.text("driver");
  const driver = HOST_DRIVERS.find((name) => name === wanted);
  if (wanted !== undefined && driver === undefined) {
    throw new LabError(
      "usage",
      `--driver wants one of ${HOST_DRIVERS.join(", ")}, not "${wanted}"`,
    );
  }
  return driver;
}

/** The words of a command line, read by a table of flags. */
export interface ParsedFlags {
  readonly positionals: readonly string[];
  isOn(name: string): boolean;
  text(name: string): string | undefined;
  texts(name: string): readonly string[];
  /** @throws LabError "usage" unless the value is digits */
  number(name: string): number | undefined;
}

/** @throws LabError "usage" naming what is known */
export function parseFlags(
  command: Pick<Command, "name" | "flags">,
  argv: readonly string[],
  limits: { readonly maxPositionals: number },
): ParsedFlags {
  const { values, positionals } = parseStrictly(command, argv);
  if (positionals.length > limits.maxPositionals) {
    throw new LabError(
      "usage",
      `lab ${command.name}: what is "${positionals[limits.maxPositionals]}" for? See lab ${command.name} --help`,
    );
  }
  const texts = (name: string): readonly string[] => {
    const value = values[name];
    const all = Array.isArray(value) ? value : [value];
    return all.filter((item) => typeof item === "string");
  };
  const text = (name: string): string | undefined => texts(name).at(-1);
  return {
    positionals,
    isOn: (name) => values[name] === true,
    text,
    texts,
    number: (name) => {
      const value = text(name);
      if (value !== undefined && !/^\d{1,9}$/.test(value)) {
        throw new LabError("usage", `--${name} wants a whole number, not "${value}"`);
      }
      return value === undefined ? undefined : Number(value);
    },
  };
}

type Values = Readonly<Record<string, unknown>>;

function parseStrictly(
  command: Pick<Command, "name" | "flags">,
  argv: readonly string[],
): { readonly values: Values; readonly positionals: readonly string[] } {
  const options = Object.fromEntries(
    Object.entries(command.flags).map(([name, { type, multiple }]) => [
      name,
      { type, multiple: multiple ?? false },
    ]),
  );
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: true });
  } catch (error) {
    throw new LabError("usage", `lab ${command.name}: ${describe(error, command.flags)}`, {
      cause: error,
    });
  }
}

function describe(error: unknown, flags: FlagTable): string {
  const message = messageOf(error);
  const unknown = /Unknown option '([^']+)'/.exec(message)?.[1];
  if (unknown === undefined) {
    return message.split(". ", 1)[0] ?? message;
  }
  const known = Object.keys(flags).map((name) => `--${name}`);
  return `unknown flag ${unknown}; known are ${[...known, "--help"].join(" ")}`;
}

/** The text of `lab VERB --help`. */
export function formatHelp(command: Command): string {
  const rows = Object.entries(command.flags).map(([name, { value, help }]) => [
    `  --${name}${value === undefined ? "" : ` ${value}`}`,
    help,
  ]);
  const flags = rows.length === 0 ? "" : `\n${formatTable(rows)}`;
  return `lab ${`${command.name} ${command.usage}`.trim()}\n${command.summary}\n${flags}`;
}
