import { LabError } from "../errors.ts";
import { alterFdb } from "./alter-fdb/index.ts";
import { alterNeighbour } from "./alter-neighbour/index.ts";
import { alterRoute } from "./alter-route/index.ts";
import { blackHole } from "./black-hole/index.ts";
import { changeAddress } from "./change-address/index.ts";
import { changeConfig } from "./change-config/index.ts";
import { changeLeader } from "./change-leader/index.ts";
import { changeMac } from "./change-mac/index.ts";
import { changeMtu } from "./change-mtu/index.ts";
import { clockDrift } from "./clock-drift/index.ts";
import { clockJump } from "./clock-jump/index.ts";
import { clockStrobe } from "./clock-strobe/index.ts";
import { compactOften } from "./compact-often/index.ts";
import { compactStore } from "./compact-store/index.ts";
import { corrupt } from "./corrupt/index.ts";
import { delay } from "./delay/index.ts";
import { deleteFdb } from "./delete-fdb/index.ts";
import { deleteLease } from "./delete-lease/index.ts";
import { deleteLink } from "./delete-link/index.ts";
import { deleteNeighbour } from "./delete-neighbour/index.ts";
import { deleteRoute } from "./delete-route/index.ts";
import { detour } from "./detour/index.ts";
import { duplicate } from "./duplicate/index.ts";
import { expireLease } from "./expire-lease/index.ts";
import { expireTokens } from "./expire-tokens/index.ts";
import { fillStore } from "./fill-store/index.ts";
import { flushRoutes } from "./flush-routes/index.ts";
import { foreignDevice } from "./foreign-device/index.ts";
import { foreignRoute } from "./foreign-route/index.ts";
import { isolateMember } from "./isolate-member/index.ts";
import { jitter } from "./jitter/index.ts";
import { joinStorm } from "./join-storm/index.ts";
import { killAgent } from "./kill-agent/index.ts";
import { leaveStorm } from "./leave-storm/index.ts";
import { linkFlap } from "./link-flap/index.ts";
import { loseQuorum } from "./lose-quorum/index.ts";
import { loss } from "./loss/index.ts";
import { overwriteLease } from "./overwrite-lease/index.ts";
import { partition } from "./partition/index.ts";
import { partitionPair } from "./partition-pair/index.ts";
import { partitionRing } from "./partition-ring/index.ts";
import { pauseAgent } from "./pause-agent/index.ts";
import { pauseMember } from "./pause-member/index.ts";
import { pauseStore } from "./pause-store/index.ts";
import { poisonKey } from "./poison-key/index.ts";
import { rate } from "./rate/index.ts";
import { readOnlyRun } from "./read-only-run/index.ts";
import { rebootHost } from "./reboot-host/index.ts";
import { reorder } from "./reorder/index.ts";
import { reserveLease } from "./reserve-lease/index.ts";
import { resetConnections } from "./reset-connections/index.ts";
import { longUptime } from "./long-uptime/index.ts";
import { restartAgent } from "./restart-agent/index.ts";
import { rollBackStore } from "./roll-back-store/index.ts";
import { rollingRestart } from "./rolling-restart/index.ts";
import { stopAgent } from "./stop-agent/index.ts";
import { stopMember } from "./stop-member/index.ts";
import { stopStore } from "./stop-store/index.ts";
import { swapAddresses } from "./swap-addresses/index.ts";
import { throttleAgent } from "./throttle-agent/index.ts";
import type { AnyFault } from "./fault.ts";

/** Every fault, one line each, in the order of the alphabet. */
export const FAULTS: ReadonlyMap<string, AnyFault> = listFaults([
  alterFdb,
  alterNeighbour,
  alterRoute,
  blackHole,
  changeAddress,
  changeConfig,
  changeLeader,
  changeMac,
  changeMtu,
  clockDrift,
  clockJump,
  clockStrobe,
  compactOften,
  compactStore,
  corrupt,
  delay,
  deleteFdb,
  deleteLease,
  deleteLink,
  deleteNeighbour,
  deleteRoute,
  detour,
  duplicate,
  expireLease,
  expireTokens,
  fillStore,
  flushRoutes,
  foreignDevice,
  foreignRoute,
  isolateMember,
  jitter,
  joinStorm,
  killAgent,
  leaveStorm,
  linkFlap,
  longUptime,
  loseQuorum,
  loss,
  overwriteLease,
  partition,
  partitionPair,
  partitionRing,
  pauseAgent,
  pauseMember,
  pauseStore,
  poisonKey,
  rate,
  readOnlyRun,
  rebootHost,
  reorder,
  reserveLease,
  resetConnections,
  restartAgent,
  rollBackStore,
  rollingRestart,
  stopAgent,
  stopMember,
  stopStore,
  swapAddresses,
  throttleAgent,
]);

/** @throws Error for two faults of one name */
export function listFaults(faults: readonly AnyFault[]): ReadonlyMap<string, AnyFault> {
  const byName = new Map<string, AnyFault>();
  for (const fault of faults) {
    if (byName.has(fault.name)) {
      throw new Error(`two faults are called ${fault.name}`);
    }
    byName.set(fault.name, fault);
  }
  return byName;
}

/** @throws LabError "usage" naming those that there are */
export function faultNamed(name: string): AnyFault {
  const fault = FAULTS.get(name);
  if (fault === undefined) {
    const known = [...FAULTS.keys()].join(", ");
    throw new LabError("usage", `there is no fault "${name}"; there are ${known}`);
  }
  return fault;
}
