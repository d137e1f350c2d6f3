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
    legacyRules: (family) => command.iptables[family].save(),
    async act(argv, input) {
      const { exitCode, stdout, stderr } = await command.run(argv, input);
      if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
      return stdout;
    },
    async [Symbol.asyncDispose]() {},
  };
}

iptablesContract("in memory", open);
iptablesContract("in memory, legacy variant", () =>
  open({ version: "iptables v1.8.9 (legacy)\n" }),
);
nftablesContract("in memory", open);
