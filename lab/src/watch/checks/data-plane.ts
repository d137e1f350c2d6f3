import { kernelEqualsLeases } from "../../checks/kernel-equals-leases.ts";
import { parseSubnetFile } from "../../subnet-file.ts";
import { EXTERNAL_INTERFACE } from "../../topology.ts";
import type { InvariantCheck } from "../check.ts";
import { whenQuiet, withReadyAgents } from "./quiet.ts";

/** Checks of dumps of all hosts, when it was quiet before. */

/** Lines of one host that a violation tells; the rest are counted. */
const MAX_LINES = 5;
/**
 * Bytes that encapsulation adds for an IPv4 and an IPv6 outer header. Source: RFC 7348 section 5; flannel
 * pkg/backend/vxlan/vxlan.go, encapOverhead.
 */
const VXLAN_OVERHEAD: Readonly<Record<"flannel." | "flannel-v6.", number>> = {
  "flannel.": 50,
  "flannel-v6.": 70,
};

export const kernelIsAsLeased: InvariantCheck = whenQuiet(
  {
    id: "D1",
    claim: "after 2 s of quiet every kernel held the entries of the live leases, and no others",
    needs: ["store", "dump"],
  },
  (facts, round, world) => {
    const hosts = withReadyAgents(round.hosts, world);
    const { verdict, details } = kernelEqualsLeases(
      facts,
      [...world.leases.values()],
      hosts.map(({ host, kernel }) => ({ host, kernel, publicIps: world.hosts.get(host) ?? {} })),
    );
    if (verdict !== "fail") {
      return { looked: verdict === "pass" ? hosts.length : 0, violations: [] };
    }
    const byHost = Map.groupBy(details, (line) => line.slice(0, line.indexOf(":")));
    return {
      looked: hosts.length,
      violations: [...byHost].map(([host, lines]) => {
        const told = lines.slice(0, MAX_LINES).map((line) => line.slice(host.length + 2));
        const more = lines.length > MAX_LINES ? [`and ${lines.length - MAX_LINES} more`] : [];
        return { host, detail: [...told, ...more].join("; ") };
      }),
    };
  },
);

export const mtuFits: InvariantCheck = whenQuiet(
  {
    id: "D8",
    claim:
      "FLANNEL_MTU and the tunnel devices' MTU are the path's less the overhead (by dump and file, not by packet)",
    needs: ["dump", "file"],
  },
  (_facts, round, world) => {
    let looked = 0;
    const violations = withReadyAgents(round.hosts, world).flatMap(({ host, links }) => {
      const file = parseSubnetFile(world.files.get(host)?.text ?? "");
      const path = links.find(({ name }) => name === EXTERNAL_INTERFACE)?.mtu;
      if (file === undefined || path === undefined) {
        return [];
      }
      looked += 1;
      const tunnels = links.flatMap(({ name, mtu }) => {
        const prefix = /^flannel(-v6)?\.(?=\d+$)/.exec(name)?.[0];
        return prefix === "flannel." || prefix === "flannel-v6."
          ? [{ name, mtu, wanted: path - VXLAN_OVERHEAD[prefix] }]
          : [];
      });
      const wanted = Math.min(path, ...tunnels.map((tunnel) => tunnel.wanted));
      const wrong = tunnels.filter(({ mtu, wanted: own }) => mtu !== own && mtu !== wanted);
      return [
        ...(file.mtu === wanted
          ? []
          : [{ host, detail: `FLANNEL_MTU is ${file.mtu}, the path has room for ${wanted}` }]),
        ...wrong.map(({ name, mtu, wanted: own }) => ({
          host,
          detail: `${name} has MTU ${mtu}, the path has room for ${own}`,
        })),
      ];
    });
    return { looked, violations };
  },
);
