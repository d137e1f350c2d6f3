/** The real firewalls, in a network namespace that ends with the test. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { NetworkNamespace } from "linux";
import { openLegacyRules, openRuleGeneration, watchRules } from "../kernel/netlink-rules.ts";
import { NodeCommand } from "../system/node-command.ts";
import type { FirewallWorld } from "./firewalls-world.contract.ts";
import type { RuleNews, WatchRules } from "./rule-events.ts";

/** A folder in which `iptables` is one variant, whatever the machine's is. */
export function programsOf(
  variant: "nft" | "legacy",
  directory: string,
  link: (target: string, path: string) => void,
): void {
  mkdirSync(join(directory, variant));
  for (const program of ["iptables", "ip6tables"])
    for (const verb of ["", "-save", "-restore"])
      link(find(`xtables-${variant}-multi`), join(directory, variant, `${program}${verb}`));
}

/** Where a program of the administrator is; its name where it is not. */
function find(program: string): string {
  const directories = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"];
  const paths = directories.map((one) => join(one, program));
  return paths.find((path) => existsSync(path)) ?? program;
}

export class NetnsFirewalls implements FirewallWorld {
  readonly namespace: NetworkNamespace = NetworkNamespace.create();
  readonly command: NodeCommand;
  readonly watchRules: WatchRules;
  readonly ruleGeneration: RuleNews["ruleGeneration"];
  readonly legacyRules: RuleNews["legacyRules"];
  readonly #stop = new AbortController();

  /** @param programs where `iptables` and its kin are */
  constructor(programs: string) {
    const { path } = this.namespace;
    this.command = new NodeCommand({
      signal: this.#stop.signal,
      wrapper: ["nsenter", `--net=${path}`],
      environment: { PATH: `${programs}:/usr/sbin:${process.env["PATH"]}` },
    });
    this.watchRules = (signal) => watchRules(signal, path);
    this.ruleGeneration = openRuleGeneration(path);
    this.legacyRules = openLegacyRules(path);
  }

  async act(argv: readonly string[], input?: string): Promise<string> {
    const { exitCode, stdout, stderr } = await this.command.run(argv, input);
    if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the test is over"));
    this.namespace.close();
  }
}
