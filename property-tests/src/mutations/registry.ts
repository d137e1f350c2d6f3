/** The bugs of the seed corpus that a store or a kernel can be made to have. Corpus: the reference's own bugs, by row. */
import type { InvariantId } from "../sim/invariants.ts";
import type { Plan } from "../sim/plan.ts";
import type { PortMutation } from "./port-mutation.ts";
import * as clock from "./clock-bugs.ts";
import * as drift from "./drift-bugs.ts";
import * as kernel from "./kernel-bugs.ts";
import * as manager from "./manager-bugs.ts";
import * as mtu from "./mtu-bugs.ts";
import * as plans from "./plans.ts";
import * as provoke from "./provocations.ts";
import * as read from "./reading-bugs.ts";
import type { WrapStore } from "./wrapped.ts";
import * as write from "./writing-bugs.ts";

export interface KnownBug {
  readonly name: string;
  /** Row of the seed corpus, with the id it names where the checks report another one; a word where the bug is known from elsewhere. */
  readonly row: string;
  /** What the checks must report. */
  readonly invariant: InvariantId;
  readonly wrap: PortMutation;
  /** Where the bug can do harm. */
  readonly plan: (seed: number) => Plan;
  /**
   * Of the plans of so many seeds, from 1 on, one at least makes some check report it, measured and rounded up; undefined where none of
   * the first `MEASURED_SEEDS` did. Verified by the nightly run.
   */
  readonly undirected: number | undefined;
  /** What befalls the store in worlds with and without the bug, beyond what a plan can say. */
  readonly provoke?: WrapStore;
}

export const MEASURED_SEEDS = 300;

// One line each, so that the list reads as the table it is.
// oxfmt-ignore
export const KNOWN_BUGS: readonly KnownBug[] = [
  { name: "guards the exact key only", row: "1", invariant: "A1", wrap: { wrapStore: write.guardsTheExactKeyOnly }, plan: plans.crowdedStart, undirected: 3 },
  { name: "has no condition over all leases", row: "1", invariant: "A5", wrap: { wrapStore: write.dropsThePrefixCompare }, plan: plans.crowdedStart, undirected: 1 },
  { name: "a lost race ends the agent", row: "2", invariant: "A8", wrap: { wrapStore: write.lostRaceIsAnError }, plan: plans.crowdedStart, undirected: 1 },
  { name: "renews unconditionally", row: "3", invariant: "A4", wrap: { wrapStore: write.renewsUnconditionally }, plan: plans.sleepAndLoss, undirected: 3 },
  { name: "a relist misses new attributes", row: "4", invariant: "C5", wrap: { wrapStore: read.relistMissesNewAttributes }, plan: plans.missedHandover, undirected: 100 },
  { name: "programs the own lease", row: "5, C6", invariant: "D9", wrap: { wrapKernel: kernel.programsOwnLease }, plan: plans.compactedConnections, undirected: 1 },
  { name: "a relist shows the own subnet as a peer's", row: "5, C6", invariant: "C1", wrap: { wrapStore: read.relistShowsOwnLease }, plan: plans.compactedConnections, undirected: 3 },
  { name: "a relist forgets which lease is the own one", row: "5", invariant: "C6", wrap: manager.relistForgetsWhichIsOwn, plan: plans.compactedConnections, undirected: 3 },
  { name: "a failed list is empty", row: "6, C7", invariant: "C1", wrap: { wrapStore: read.failedListIsEmpty }, plan: plans.compactedConnections, undirected: 30, provoke: provoke.losesFirstRelist },
  { name: "a bad event withdraws all", row: "6, C7", invariant: "C1", wrap: { wrapStore: read.badEventWithdrawsAll }, plan: plans.poison, undirected: 10 },
  { name: "a watch is stuck on compaction", row: "7, C3", invariant: "C2", wrap: { wrapStore: read.stuckOnCompaction }, plan: plans.compactedConnections, undirected: undefined },
  { name: "ignores routes left behind", row: "8", invariant: "D1", wrap: { wrapKernel: kernel.ignoresLeftRoutes }, plan: plans.departures, undirected: 10 },
  { name: "keeps an old MAC", row: "9", invariant: "D1", wrap: { wrapKernel: kernel.keepsOldMac }, plan: plans.missedHandover, undirected: 3 },
  { name: "revokes after a lost reply", row: "11", invariant: "B9", wrap: { wrapStore: write.revokesAfterLostReply }, plan: plans.quietRenewals, undirected: 30, provoke: provoke.losesReplyOfRenewal },
  { name: "a reservation becomes a lease", row: "12", invariant: "A9", wrap: { wrapStore: read.reservationLooksLikeALease }, plan: plans.reservation, undirected: 10 },
  { name: "stops renewing after a failure", row: "13", invariant: "B5", wrap: { wrapStore: write.stopsRenewingAfterAFailure }, plan: plans.unansweredRenewal, undirected: 3 },
  { name: "counts dead leases", row: "14", invariant: "A7", wrap: { wrapStore: read.countsDeadLeases }, plan: plans.passingStranger, undirected: 3 },
  { name: "asks without pause", row: "15", invariant: "E5", wrap: { wrapStore: read.asksWithoutPause }, plan: plans.outage, undirected: 10 },
  { name: "forces a renewal refused after a pause", row: "16, B6", invariant: "B3'", wrap: { wrapStore: write.forcesRefusedRenewals }, plan: plans.sleepAndLoss, undirected: 3 },
  { name: "trusts timers after a pause", row: "16", invariant: "B6", wrap: clock.trustsTimersAfterAPause, plan: plans.sleepAndLoss, undirected: 100 },
  { name: "goes by the wall clock", row: "B4", invariant: "B4", wrap: clock.goesByTheWallClock, plan: plans.wallClockSetBack, undirected: 100 },
  { name: "never gives a lease back", row: "spec 10 E15", invariant: "B8", wrap: { wrapStore: write.neverRevokes }, plan: plans.quietRenewals, undirected: 3 },
  { name: "overlooks its own key", row: "A10", invariant: "A10", wrap: { wrapStore: read.overlooksOwnKey }, plan: plans.reboot, undirected: 3 },
  { name: "keeps the key it replaces", row: "A11", invariant: "A3", wrap: { wrapStore: write.keepsReplacedKeys }, plan: plans.changedConfig, undirected: 10 },
  { name: "never takes a lost key again", row: "B10", invariant: "B10", wrap: { wrapStore: write.neverTakesAgain }, plan: plans.revokedLease, undirected: 3 },
  { name: "removes a route of others", row: "D2", invariant: "D2", wrap: { wrapKernel: kernel.removesForeignRoute }, plan: plans.restart, undirected: 1 },
  { name: "deaf to its own key", row: "B1", invariant: "B1", wrap: { wrapStore: read.deafToOwnKey }, plan: plans.foreignOverwrite, undirected: 3 },
  { name: "is ready without its key", row: "B1", invariant: "B1", wrap: manager.readyWithoutItsKey, plan: plans.lossWhileFull, undirected: 10 },
  { name: "programs late", row: "D4", invariant: "D4", wrap: { wrapKernel: drift.programsLate }, plan: plans.newcomer, undirected: 1 },
  { name: "passes peers on late", row: "D4", invariant: "D4", wrap: manager.passesPeersOnLate, plan: plans.newcomer, undirected: 1 },
  { name: "sends to the wrong node", row: "9, D7", invariant: "D7", wrap: { wrapKernel: kernel.sendsToTheWrongNode }, plan: plans.quietRenewals, undirected: 1 },
  { name: "publishes a former address", row: "D7", invariant: "D7", wrap: manager.publishesAFormerAddress, plan: plans.quietDualStack, undirected: 10 },
  { name: "writes subnet.env once", row: "D8", invariant: "D8", wrap: { wrapFiles: mtu.writesSubnetFileOnce }, plan: plans.changedMtu, undirected: 100 },
  { name: "takes the overhead off twice", row: "spec 10 V1", invariant: "D8", wrap: { wrapFiles: mtu.takesOverheadTwice }, plan: plans.changedMtu, undirected: 1 },
  { name: "a new device has a new MAC", row: "spec 10 V1", invariant: "D10", wrap: { wrapKernel: drift.newMacWithNewDevice }, plan: plans.removedDevice, undirected: 10 },
  { name: "a new device has no peers", row: "spec 10 V1", invariant: "D10", wrap: { wrapKernel: drift.newDeviceWithoutPeers }, plan: plans.removedDevice, undirected: 10 },
  { name: "deaf to kernel events", row: "D11", invariant: "D11", wrap: { wrapKernel: drift.deafToKernelEvents }, plan: plans.removedObjects, undirected: 10 },
  { name: "overlooks altered objects", row: "D11", invariant: "D11", wrap: { wrapKernel: drift.overlooksAlteredObjects }, plan: plans.alteredObjects, undirected: 10 },
  { name: "trusts the last dump", row: "D11", invariant: "D11", wrap: { wrapKernel: drift.trustsTheLastDump }, plan: plans.unheardTampering, undirected: 10 },
];
