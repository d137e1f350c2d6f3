import { LabError } from "../../errors.ts";
import type { LabHost } from "../../hosts/host.ts";
import { run } from "../../system/processes.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import {
  addFilter,
  DIRECTION,
  directionOf,
  type FilterPlan,
  pingFrom,
  removeFilter,
} from "../packet-filter.ts";
import { PEER } from "../peer-objects.ts";

interface Target {
  readonly plan: FilterPlan;
  readonly peer: string;
  /** An address of the peer's host: the rest of what the two say to each other goes on. */
  readonly underlay: string;
}

const LOOK = { count: 1, intervalSeconds: 0.05 };
/** Linux's port for vxlan, which flannel keeps. Source: flannel Documentation/backends.md. */
const VXLAN_PORT = "8472";

export const blackHole: AnyFault = defineFault<Target>({
  name: "black-hole",
  summary:
    "Drops what is tunnelled between two hosts and nothing else: their agents see no reason to act.",
  place: "host",
  parameters: {
    ...PEER,
    port: {
      help: `the tunnel's UDP port (default ${VXLAN_PORT}, vxlan's)`,
      byDefault: VXLAN_PORT,
      value: { kind: "number", min: 1, max: 65_535 },
    },
    direction: DIRECTION,
  },
  needs: "packet-filter",
  timeLimitMs: 5000,
  aim: async (site, { parameters }) => {
    const host = site.host();
    const peer = site.hostNamed(parameters["peer"] ?? "");
    const port = Number(parameters["port"]);
    await demandTunnel(host, port);
    const target: Target = {
      plan: {
        table: `lab_${site.id}`,
        port: host.name,
        direction: directionOf(parameters),
        from: {
          macs: [],
          addresses: peer.plan.addresses.map(({ address }) => address),
          match: `udp dport ${port}`,
        },
        routers: [],
        verdict: "counter drop",
      },
      peer: peer.name,
      underlay: peer.plan.addresses[0]?.address ?? "",
    };
    if (!(await answers(host, peer)).every(Boolean)) {
      throw new LabError(
        "wrong-state",
        `the pod of ${host.name} does not reach that of ${peer.name} as it is`,
      );
    }
    return target;
  },
  inject: (_site, { plan }) => addFilter(plan),
  verify: async (site, { peer, underlay }) => {
    const host = site.host();
    const [pods, { received }] = await Promise.all([
      answers(host, site.hostNamed(peer)),
      pingFrom(host, underlay, LOOK),
    ]);
    return received > 0 && !pods.some(Boolean)
      ? {
          saw: `pings from the pod of ${host.name} to that of ${peer} came to nothing, and ${underlay} answered ${host.name}`,
        }
      : undefined;
  },
  heal: (_site, { plan }) => removeFilter(plan),
  verifyHealed: async (site, { peer }) =>
    (await answers(site.host(), site.hostNamed(peer))).every(Boolean)
      ? { saw: `the pod of ${peer} answers pings of that of ${site.host().name}` }
      : undefined,
});

/** Whether each address of a host's pod answers that of another. @throws LabError "wrong-state" without pods */
async function answers(from: LabHost, to: LabHost): Promise<readonly boolean[]> {
  const anchor = from.podAnchor;
  if (anchor === undefined || to.podIps.length === 0) {
    const name = anchor === undefined ? from.name : to.name;
    throw new LabError("wrong-state", `${name} has no pod to look with`);
  }
  return Promise.all(
    to.podIps.map(async (address) => (await pingFrom({ anchor }, address, LOOK)).received > 0),
  );
}

/** A kernel's tunnels have sockets like any other. @throws LabError "wrong-state" */
async function demandTunnel(host: LabHost, port: number): Promise<void> {
  const { stdout } = await run(host.anchor.enter(["ss", "-Hlun", `sport = :${port}`]));
  if (stdout.trim() === "") {
    throw new LabError("wrong-state", `${host.name} has no tunnel on UDP port ${port}`);
  }
}
