import { expect, test } from "vitest";
import type { FaultName } from "../scenario.ts";
import { faultNamed, FAULTS, listFaults } from "./registry.ts";

/** The compiler wants every name of the scenarios' type here, and no other. */
const NAMES: Readonly<Record<FaultName, true>> = {
  "alter-fdb": true,
  "alter-neighbour": true,
  "alter-route": true,
  "black-hole": true,
  "change-address": true,
  "change-config": true,
  "change-leader": true,
  "change-mac": true,
  "change-mtu": true,
  "clock-drift": true,
  "clock-jump": true,
  "clock-strobe": true,
  "compact-often": true,
  "compact-store": true,
  corrupt: true,
  delay: true,
  "delete-fdb": true,
  "delete-lease": true,
  "delete-link": true,
  "delete-neighbour": true,
  "delete-route": true,
  detour: true,
  duplicate: true,
  "expire-lease": true,
  "expire-tokens": true,
  "fill-store": true,
  "flush-routes": true,
  "foreign-device": true,
  "foreign-route": true,
  "isolate-member": true,
  jitter: true,
  "join-storm": true,
  "kill-agent": true,
  "leave-storm": true,
  "link-flap": true,
  "long-uptime": true,
  "lose-quorum": true,
  loss: true,
  "overwrite-lease": true,
  partition: true,
  "partition-pair": true,
  "partition-ring": true,
  "pause-agent": true,
  "pause-member": true,
  "pause-store": true,
  "poison-key": true,
  rate: true,
  "read-only-run": true,
  "reboot-host": true,
  reorder: true,
  "reserve-lease": true,
  "reset-connections": true,
  "restart-agent": true,
  "roll-back-store": true,
  "rolling-restart": true,
  "stop-agent": true,
  "stop-member": true,
  "stop-store": true,
  "swap-addresses": true,
  "throttle-agent": true,
};

test("every fault that a scenario can name is there, under its own name, with a time limit", () => {
  expect([...FAULTS.keys()]).toEqual(Object.keys(NAMES));
  expect([...FAULTS].every(([name, fault]) => fault.name === name && fault.timeLimitMs > 0)).toBe(
    true,
  );
});

test("two faults of one name are refused", () => {
  const one = faultNamed("loss");
  expect(() => listFaults([one, faultNamed("detour"), one])).toThrow("two faults are called loss");
});

test.each(["meteor", "toString", ""])("an unknown name lists the known ones: %j", (name) => {
  expect(() => faultNamed(name)).toThrow(
    /^there is no fault ".*"; there are alter-fdb, .*, throttle-agent$/,
  );
});
