/** Makes a kernel match a wish: dump what the scope covers, take the difference, apply it stage by stage. */
import { wishOf } from "./difference.ts";
import type { DesiredState } from "./difference.ts";
import type { Kernel } from "./kernel.ts";
import { Mirror } from "./mirror.ts";
import type { ReconcileReport } from "./pass.ts";
import { Slices } from "../system/slices.ts";

export { ByIdentity } from "./by-identity.ts";
export type { ReadonlyByIdentity } from "./by-identity.ts";
export { difference } from "./difference.ts";
export type { DesiredState, Wish } from "./difference.ts";
export { identityOf, isCompatible, isSame } from "./identity.ts";
export type { Identity } from "./identity.ts";
export { leftDevices } from "./leftovers.ts";
export type { LeftRouteMarks } from "./kernel.ts";
export { Mirror } from "./mirror.ts";
export type { MayTry, PassReport } from "./mirror.ts";
export { RouteForms } from "./nexthops.ts";
export type { ReconcileReport } from "./pass.ts";
export { covers } from "./scope.ts";
export { Slices, finish, isStep } from "../system/slices.ts";
export type { Steps } from "../system/slices.ts";
export { Wishes, asWished } from "./wishes.ts";
export type { WishChange, WishChanges, Writing } from "./wishes.ts";

/**
 * One dump, and each stage of the difference in order. What is refused or held comes again in the next pass; a peer whose neighbour or
 * FDB entry is refused gets no route, and keeps the whole of what it had (invariant D12). A neighbour and FDB entry whose
 * route was refused stay: they carry no packets, and taking them back would make kernel events that call for the next pass.
 * @throws AgentError "kernel-refused" when nothing could be read or sent
 */
export async function reconcile(kernel: Kernel, desired: DesiredState): Promise<ReconcileReport> {
  const mirror = new Mirror(kernel, new Slices(WITHOUT_TIME));
  const { changes, failures, held } = await mirror.whole(wishOf(desired), () => true);
  return { changes, failures, held };
}

/** In one go: whoever has much to do brings a clock. */
const WITHOUT_TIME = { nowMs: (): number => 0, yield: (): Promise<void> => Promise.resolve() };
