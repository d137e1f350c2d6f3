import { iptablesContract } from "./iptables.contract.ts";
import { nftablesContract } from "./nftables.contract.ts";
import type { FirewallWorld } from "./firewalls-world.contract.ts";
import { MemoryFirewalls } from "./memory-firewalls.ts";
import type { MemoryFirewallOptions } from "./memory-firewalls.ts";

async function open(options: MemoryFirewallOptions = {}): Promise<FirewallWorld> {
  const command = new MemoryFirewalls(options);
  return {
    command,
    watchRules: async function* () {
      yield ["lost"];
    },
    ruleGeneration: () => undefined,
    async act(argv, input) {
      const { exitCode, stdout, stderr } = await command.run(argv, input);
      if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
      return stdout;
    },
    async [Symbol.asyncDispose]() {},
  };
}

iptablesContract("in memory", open);
nftablesContract("in memory", open);
