import { LabError } from "./errors.ts";
import { splitWords } from "./words.ts";

/** A program that is an agent, with its first arguments; the lab adds the store and the interface. */
export interface AgentCommand {
  /** As it was given. */
  readonly text: string;
  readonly argv: readonly string[];
}

/** Which host runs which agent; plain data, so that it crosses processes. */
export interface AgentCommands {
  /** Of the hosts that nothing below names. */
  readonly others: AgentCommand;
  /** In the order in which they were given. */
  readonly named: readonly NamedAgentCommand[];
}

export interface NamedAgentCommand extends AgentCommand {
  /** A host's name, or a pattern in which `*` stands for any characters, also for none. */
  readonly hosts: string;
}

const WILDCARD = "*";
/** Any other word in front of `=` is part of a command, as in `env A=b flanneld`. */
const NAMED = /^(n\d+|[\w.-]*\*[\w.*-]*)=(.*)$/su;

/**
 * Reads the values of `--flanneld`: `CMD` for all hosts, `NAME=CMD` for those that have the name or fit the pattern.
 * @param own runs where no value is for all
 * @throws LabError "usage" for a command that is empty or whose quotes are not closed
 */
export function parseAgentCommands(
  values: readonly string[],
  own: readonly string[],
): AgentCommands {
  let others: AgentCommand = { text: own.join(" "), argv: own };
  const named: NamedAgentCommand[] = [];
  for (const value of values) {
    const [, hosts, text = ""] = NAMED.exec(value) ?? [];
    if (hosts === undefined) {
      others = parseCommand(value, "--flanneld is empty: name the program to run on each host");
    } else {
      const empty = `--flanneld ${hosts}= is empty: name the program to run there`;
      named.push({ hosts, ...parseCommand(text, empty) });
    }
  }
  return { others, named };
}

function parseCommand(text: string, whenEmpty: string): AgentCommand {
  const argv = splitWords(text);
  if (argv.length === 0) {
    throw new LabError("usage", whenEmpty);
  }
  return { text, argv };
}

/** The agent of a host: a name counts before a pattern, and of several of a kind the one given last. */
export function agentCommandOf({ named, others }: AgentCommands, host: string): AgentCommand {
  return (
    named.findLast(({ hosts }) => hosts === host) ??
    named.findLast(({ hosts }) => fits(hosts, host)) ??
    others
  );
}

/**
 * Refuses a name that is no host's, and a pattern that no host fits.
 * @param hosts all that there will ever be where `where` says
 * @throws LabError "usage", one line
 */
export function checkAgentHosts(
  { named }: AgentCommands,
  hosts: readonly string[],
  where: string,
): void {
  const stranger = named.find((command) => !hosts.some((host) => fits(command.hosts, host)));
  if (stranger !== undefined) {
    const what = stranger.hosts.includes(WILDCARD)
      ? `no host of ${where} fits`
      : `${where} has no such host`;
    throw new LabError(
      "usage",
      `--flanneld ${stranger.hosts}=…: ${what}; there are ${hosts.join(", ")}`,
    );
  }
}

/** Linear in the length of both, whatever the pattern: the leftmost place of each piece is as good as any. */
function fits(pattern: string, host: string): boolean {
  const [head = "", ...rest] = pattern.split(WILDCARD);
  const tail = rest.pop();
  if (tail === undefined) {
    return pattern === host;
  }
  let at = head.length;
  for (const piece of rest) {
    const found = host.indexOf(piece, at);
    if (found < 0) {
      return false;
    }
    at = found + piece.length;
  }
  return host.startsWith(head) && host.endsWith(tail) && at + tail.length <= host.length;
}
