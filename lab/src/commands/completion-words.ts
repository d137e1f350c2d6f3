import { STORE_NAME } from "../topology.ts";
import type { Candidates, Command, FlagDefinition } from "./command.ts";

/** Where hosts, labs and scenarios come from: a lab by its name, undefined for the one without. */
export interface CompletionSources {
  hosts(lab: string | undefined): Promise<readonly string[]>;
  labs(): readonly string[];
  scenarios(): Promise<readonly string[]>;
}

/** Said instead of words where the shell knows better than we do. */
export const FILES_WANTED = ":files";

/** Shells expand what they are given: nothing but plain words may reach them. */
const PLAIN_WORD = /^[\w.-]+$/;

/**
 * The words that can stand in the last place of `words`, the words behind `lab`. All of it is read from the table of commands
 * and flags that also parses them and prints their help. `load` knows the commands by their verbs.
 */
export async function completeWords(
  words: readonly string[],
  load: ReadonlyMap<string, () => Promise<Command>>,
  sources: CompletionSources,
): Promise<readonly string[]> {
  const [verb, ...rest] = words;
  if (verb === undefined || rest.length === 0) {
    return [...load.keys(), "--help"];
  }
  const command = await load.get(verb)?.();
  const wanted = command === undefined ? [] : candidatesFor(command, rest);
  const found = await lookUp(wanted, valueOf("--name", rest), sources);
  return found.filter((word) => word === FILES_WANTED || PLAIN_WORD.test(word));
}

/** What can stand in the last place of the words behind the verb. */
export function candidatesFor(command: Command, rest: readonly string[]): Candidates {
  const before = rest.slice(0, -1);
  const current = rest.at(-1) ?? "";
  const own = command.ownWords?.(before) ?? before;
  if (own.length < before.length) {
    return "file";
  }
  const last = flagNamed(command, before.at(-1));
  if (last?.definition.type === "string") {
    return valuesOf(last.name, last.definition);
  }
  const operand = command.operands?.[operandsIn(command, before)];
  if (current.startsWith("-") || operand === undefined) {
    return flagsLeft(command, before);
  }
  return operand;
}

function valuesOf(name: string, { value = "" }: FlagDefinition): Candidates {
  if (name === "name") {
    return "lab";
  }
  if (value === "FILE" || value === "HOST") {
    return value === "FILE" ? "file" : "host";
  }
  return value.includes("|") ? value.split("|") : [];
}

function flagsLeft({ flags }: Command, before: readonly string[]): readonly string[] {
  const left = Object.entries(flags)
    .filter(([name, { multiple }]) => multiple === true || !before.includes(`--${name}`))
    .map(([name]) => `--${name}`);
  return [...left, "--help"];
}

/** How many words are no flags and no values of flags. */
function operandsIn(command: Command, before: readonly string[]): number {
  return before.filter(
    (word, index) =>
      !word.startsWith("-") && flagNamed(command, before[index - 1])?.definition.type !== "string",
  ).length;
}

function flagNamed(
  { flags }: Command,
  word: string | undefined,
): { readonly name: string; readonly definition: FlagDefinition } | undefined {
  const name = word?.startsWith("--") === true ? word.slice(2) : "";
  const definition = Object.hasOwn(flags, name) ? flags[name] : undefined;
  return definition === undefined ? undefined : { name, definition };
}

function valueOf(flag: string, words: readonly string[]): string | undefined {
  const at = words.indexOf(flag);
  return at < 0 ? undefined : words[at + 1];
}

async function lookUp(
  wanted: Candidates,
  lab: string | undefined,
  sources: CompletionSources,
): Promise<readonly string[]> {
  switch (wanted) {
    case "file":
      return [FILES_WANTED];
    case "lab":
      return sources.labs();
    case "scenario":
      return sources.scenarios();
    case "host":
      return sources.hosts(lab);
    case "host-or-store":
      return [...(await sources.hosts(lab)), STORE_NAME];
    default:
      return wanted;
  }
}
