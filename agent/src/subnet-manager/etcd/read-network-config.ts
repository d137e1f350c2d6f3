import { AgentError } from "../../core/errors.ts";
import { type NetworkConfig, parseNetworkConfig } from "../../core/network-config.ts";
import { jitteredMs } from "../../system/random.ts";
import type { StoreContext } from "./context.ts";
import { untilAnswered } from "./outage.ts";

/** Source: flannel main.go, spec 03 section 9. */
const READ_AGAIN_MS = 1000;
const EXAMPLE = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}';

/**
 * Waits for a configuration, saying once how to make one.
 * @throws AgentError "config-invalid" for one that nodes cannot lease from
 */
export async function readNetworkConfig(
  context: StoreContext,
  signal: AbortSignal,
): Promise<NetworkConfig> {
  const { store, keys, clock, random, log } = context;
  for (let said = false; ; said = true) {
    const { entries } = await untilAnswered(
      context,
      () => store.range({ key: keys.config }, { signal }),
      signal,
    );
    const command = `ETCDCTL_API=3 etcdctl --endpoints=${store.endpoints} put ${keys.config}`;
    const remedy = `put one there with: ${command} '${EXAMPLE}'`;
    const text = entries[0]?.value;
    if (text !== undefined) return readable(text, keys.config, remedy);
    if (!said)
      log.error(
        { key: keys.config },
        `flannel config not found in etcd store. Did you create your config using etcdv3 API?; ${remedy}`,
      );
    await clock.sleep(jitteredMs(random, READ_AGAIN_MS), signal);
  }
}

/**
 * Ends the start rather than waiting for somebody to mend it, as the reference does: a supervisor then shows that the node is down.
 * @throws AgentError "config-invalid"
 */
function readable(text: string, key: string, remedy: string): NetworkConfig {
  try {
    const config = parseNetworkConfig(text);
    if (config.ranges[4] !== undefined) return config;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw new AgentError("config-invalid", `${key}: ${error.message}; ${remedy}`, { cause: error });
  }
  // Keys begin with an IPv4 subnet and nodes are told apart by their IPv4 address (spec 10, E10).
  throw new AgentError(
    "config-invalid",
    `${key}: IPv4 is off, and leases in etcd need it: set EnableIPv4 to true and define Network`,
  );
}
