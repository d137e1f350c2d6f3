/**
 * host-gw: each peer is a plain route to its subnet through its public IP.
 *
 *   pod ─ cni0 ─ route 10.42.2.0/24 via 192.0.2.2 dev eth0 ─ segment ─ eth0 ─ cni0 ─ pod
 *
 * Nothing is encapsulated, so pods have the interface's whole MTU; but all nodes must be on one segment, and none behind NAT. A peer costs one
 * route for each family. A peer that is not on the segment is refused by the kernel (the gateway is not on-link): that refusal is
 * reported, comes again with each pass, and harms no other peer. The routes carry our own protocol number, since the device is not ours;
 * when the interface goes down and up again they are gone, and the next pass puts them back. When
 * its address or name changes, `onto` gives the same routes on what is there now.
 */
import { AgentError } from "../../core/errors.ts";
import { openObject } from "../../core/json-object.ts";
import type { ExternalInterface } from "../../core/external-interface.ts";
import type { NetworkConfig } from "../../core/network-config.ts";
import { enabledFamilies, wholePlan } from "../backend.ts";
import type { Backend, BackendContext, BackendDefinition } from "../backend.ts";
import { TYPE, hostGwPlanner } from "./plan.ts";

export const hostGw: BackendDefinition = { type: TYPE, open: openHostGw };

async function openHostGw(context: BackendContext): Promise<Backend> {
  const { networkConfig: config, log } = context;
  const unknown = openObject(config.backendOptions, "Backend host-gw").unknownNames(["Type"]);
  if (unknown.length > 0) log.warn({ unknown }, "ignoring options: the host-gw backend has none");
  return hostGwOn(config, context.externalInterface);
}

/** @throws AgentError "config-invalid" */
function hostGwOn(
  config: NetworkConfig,
  { name: link, mtu, addresses, publicIps }: ExternalInterface,
): Backend {
  for (const family of enabledFamilies(config)) {
    const { [family]: address } = addresses;
    const { [family]: publicIp } = publicIps;
    if (address === undefined || publicIp === undefined)
      throw new AgentError(
        "config-invalid",
        `interface ${link} has no IPv${family} address, but the network config enables IPv${family}`,
      );
    if (address !== publicIp)
      throw new AgentError(
        "config-invalid",
        `your PublicIP differs from interface IP, meaning that probably you're on a NAT, which is not supported by host-gw backend: ${publicIp} is not ${address} of ${link}`,
      );
  }
  const planner = hostGwPlanner({ config, link });
  return {
    attributes: { publicIps, backendType: TYPE, backendData: {} },
    mtu,
    lookups: () => [],
    planner,
    plan: (input) => wholePlan(planner, input),
    onto: (next) => hostGwOn(config, next),
    close: () => Promise.resolve(),
  };
}
