/** The firewall programs of a node, in memory: what they print is what the real ones print. */
import { AgentError } from "../core/errors.ts";
import type { Family } from "../core/ip.ts";
import type { Command, CommandResult } from "../system/command.ts";
import { MemoryIptables } from "./memory-iptables.ts";
import { MemoryNftables } from "./memory-nftables.ts";
import type { MissingFeatures } from "./memory-nftables.ts";

export interface MemoryFirewallOptions {
  /** What `iptables --version` prints. */
  readonly version?: string;
  /** Programs that are not installed. */
  readonly missing?: readonly ("iptables" | "ip6tables" | "nft")[];
  readonly missingFeatures?: MissingFeatures;
}

export class MemoryFirewalls implements Command {
  readonly iptables: Readonly<Record<Family, MemoryIptables>> = {
    4: new MemoryIptables(),
    6: new MemoryIptables(),
  };
  readonly nftables: MemoryNftables;
  /** Every command so far. */
  readonly commands: string[] = [];
  /** Called before each command; a throw is a crash of whoever runs it. */
  beforeCommand: (command: string) => void = () => undefined;
  /** What the next runs of a program say instead of working. */
  readonly refusals: Map<string, string> = new Map();
  readonly #options: MemoryFirewallOptions;

  constructor(options: MemoryFirewallOptions = {}) {
    this.#options = options;
    this.nftables = new MemoryNftables(options.missingFeatures);
  }

  async run(argv: readonly string[], input = ""): Promise<CommandResult> {
    const [program = ""] = argv;
    const command = argv.join(" ");
    this.beforeCommand(command);
    this.commands.push(command);
    const isMissing = this.#options.missing?.some(
      (name) => program === name || program.startsWith(`${name}-`),
    );
    if (isMissing === true)
      throw new AgentError("program-missing", `there is no program ${program} in PATH`);
    const refusal = this.refusals.get(program);
    if (refusal !== undefined) return failure(refusal);
    if (program === "nft") return this.#nft(argv.slice(1), input);
    const tables = this.iptables[program.startsWith("ip6") ? 6 : 4];
    if (argv[1] === "--version")
      return success(this.#options.version ?? `${program} v1.8.9 (nf_tables)\n`);
    if (program.endsWith("-save")) return success(tables.save());
    const said = tables.restore(input);
    return said === undefined ? success("") : failure(said);
  }

  #nft(words: readonly string[], input: string): CommandResult {
    if (words[0] === "-j") {
      const [, , , family = "", table = ""] = words;
      const listed = this.nftables.list(family, table);
      return listed === undefined ? failure("Error: No such file or directory") : success(listed);
    }
    const said = this.nftables.run(input, { isCheck: words[0] === "--check" });
    return said === undefined ? success("") : failure(said);
  }
}

function success(stdout: string): CommandResult {
  return { exitCode: 0, stdout, stderr: "" };
}

function failure(stderr: string): CommandResult {
  return { exitCode: 1, stdout: "", stderr };
}
