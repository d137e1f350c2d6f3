/**
 * `-ip-blackhole-route`, over any backend: what is sent to an address of our own subnet that no pod has is dropped, where it would follow the
 * default route out of the node otherwise. Being a wish of the node, it is there with the lease and repaired like everything else.
 * Its metric is the last there is: the connected route of a bridge stands beside it and is used. Source: spec 01 section 9, spec 10 M10.
 */
import { FAMILIES } from "../core/ip.ts";
import type { Lease } from "../core/lease.ts";
import type { KernelObject } from "../kernel/kernel.ts";
import { wholePlan } from "./backend.ts";
import type { Backend, BackendDefinition, Planner } from "./backend.ts";

/** The same backend, which also keeps a blackhole for each subnet of the own lease. */
export function withBlackholes(definition: BackendDefinition): BackendDefinition {
  return {
    type: definition.type,
    open: async (context) => overBackend(await definition.open(context)),
  };
}

function overBackend(backend: Backend): Backend {
  const planner: Planner = {
    ...backend.planner,
    planNode: (own) => [...backend.planner.planNode(own), ...blackholesOf(own)],
  };
  return {
    attributes: backend.attributes,
    mtu: backend.mtu,
    lookups: (peers) => backend.lookups(peers),
    planner,
    plan: (input) => wholePlan(planner, input),
    onto: (externalInterface) => overBackend(backend.onto(externalInterface)),
    close: () => backend.close(),
  };
}

function blackholesOf(own: Lease | undefined): readonly KernelObject[] {
  return FAMILIES.flatMap((family) => {
    const destination = own?.subnets[family];
    return destination === undefined ? [] : [{ kind: "blackhole", destination }];
  });
}
