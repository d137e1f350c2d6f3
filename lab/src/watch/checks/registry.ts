import type { NetworkFactsOfRun } from "../../checks/kernel-equals-leases.ts";
import type { InvariantCheck } from "../check.ts";
import {
  insideNetwork,
  nobodyWritesAnothersKey,
  noOverlap,
  oneSubnetANode,
  ownerNeverChanges,
  reservationsStay,
} from "./allocation.ts";
import { kernelIsAsLeased, mtuFits } from "./data-plane.ts";
import { foreignObjectsStay } from "./foreign-objects.ts";
import { forwardingEndsAtOwner } from "./forwarding.ts";
import { joinersSucceed } from "./joining.ts";
import { noRouteWithoutItsWay } from "./kernel-order.ts";
import { ownSubnetIsLeftAlone } from "./own-subnet.ts";
import { readyMeansLeased } from "./readiness.ts";
import { devicesComeBack, objectsComeBack } from "./repair.ts";
import { listsAreRare, requestsAreRare, writesAreConditional } from "./store-protocol.ts";
import { fileIsWhole, fileNamesLease } from "./subnet-env.ts";
import { gapsAreAllowed, nothingMisdelivered } from "./traffic.ts";

/** One line a check; watched in every run. */
export const INVARIANT_CHECKS: readonly InvariantCheck[] = [
  noOverlap,
  insideNetwork,
  oneSubnetANode,
  ownerNeverChanges,
  joinersSucceed,
  reservationsStay,
  readyMeansLeased,
  nobodyWritesAnothersKey,
  writesAreConditional,
  listsAreRare,
  kernelIsAsLeased,
  foreignObjectsStay,
  noRouteWithoutItsWay,
  gapsAreAllowed,
  nothingMisdelivered,
  forwardingEndsAtOwner,
  mtuFits,
  ownSubnetIsLeftAlone,
  devicesComeBack,
  objectsComeBack,
  fileIsWhole,
  fileNamesLease,
  requestsAreRare,
];

/** Those that have something to look at in such a network. */
export function checksFor(facts: NetworkFactsOfRun): readonly InvariantCheck[] {
  return INVARIANT_CHECKS.filter((check) => check.appliesTo?.(facts) ?? true);
}
