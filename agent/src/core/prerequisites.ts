/** What a kernel has to be told before it forwards packets of pods; nobody but an operator should tell it. Source: spec 01 section 8. */
import type { Family } from "./ip.ts";
import { FAMILIES } from "./ip.ts";
import type { NetworkConfig } from "./network-config.ts";

interface Switch {
  readonly forwarding: string;
  readonly bridge: string;
}

const SWITCHES: Readonly<Record<Family, Switch>> = {
  4: { forwarding: "net/ipv4/ip_forward", bridge: "net/bridge/bridge-nf-call-iptables" },
  6: { forwarding: "net/ipv6/conf/all/forwarding", bridge: "net/bridge/bridge-nf-call-ip6tables" },
};

/** The switches to be read, as paths below /proc/sys. */
export function neededSwitches(config: Pick<NetworkConfig, "ranges">): readonly string[] {
  return FAMILIES.filter((family) => config.ranges[family] !== undefined).flatMap((family) => [
    SWITCHES[family].forwarding,
    SWITCHES[family].bridge,
  ]);
}

/**
 * One line with the remedy for each that is not as pods need it. Nothing that the agent itself does depends on them, and
 * other programs set some later (Docker does), so that none is a reason not to start.
 * @param switches by path, undefined for one that is not there
 */
export function findMissingPrerequisites(
  config: Pick<NetworkConfig, "ranges" | "enableNftables">,
  switches: ReadonlyMap<string, string | undefined>,
): readonly string[] {
  const found: string[] = [];
  for (const family of FAMILIES) {
    if (config.ranges[family] === undefined) continue;
    const { forwarding, bridge } = SWITCHES[family];
    const name = forwarding.replaceAll("/", ".");
    const value = switches.get(forwarding)?.trim();
    if (value === undefined)
      found.push(
        `there is no ${name}: this kernel has no IPv${family}, which the network config enables; boot without ipv${family}.disable=1, or set EnableIPv${family} to false`,
      );
    else if (value === "0")
      found.push(
        `${name} is 0: this node forwards no IPv${family} packets of pods; run "sysctl -w ${name}=1", and put it into /etc/sysctl.d for the next boot`,
      );
    if (!config.enableNftables && switches.get(bridge) === undefined)
      found.push(
        `Failed to check br_netfilter: there is no /proc/sys/${bridge}, so that packets between pods of this node pass by iptables and by kube-proxy's services; run "modprobe br_netfilter", and put it into /etc/modules-load.d for the next boot`,
      );
  }
  return found;
}
