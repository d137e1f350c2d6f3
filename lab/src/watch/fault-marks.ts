import type { FaultRequest } from "../lab.ts";
import type { FaultName } from "../scenario.ts";
import { LOST_AFTER_MS } from "./witnesses/probe-ledger.ts";

/** What a fault of the lab excuses: until when it keeps a host from what it should do, and which gaps it may make. */
export interface FaultMark {
  /**
   * `moment`: once its effect was seen the agent can, and must, do something about it, and the run is judged as without it.
   * `agent-start`: until the agent was started again. `heal`: until the lab heals it. `no-time`: it excuses nothing.
   */
  readonly lasts: "no-time" | "moment" | "agent-start" | "heal";
  /** How long pods of the struck host (of all, without one) may be without answers; undefined: no packet may be lost. */
  readonly gap?: {
    readonly maxGapMs: number;
    /** As long as it is on, and `maxGapMs` after. */
    readonly untilEnd?: boolean;
    /** Its time begins when the struck host can hear from the store: nobody else can put this right. */
    readonly onceHeard?: true;
  };
  /** So long after its end it still excuses: agents have this time to find out what it made of the world. */
  readonly resyncMs?: number;
  /** Until its end the struck host, or all, may not hear from the store: what is new there it learns later. */
  readonly deaf?: true;
  /** It strikes more hosts than the one that it is aimed at. */
  readonly everywhere?: true;
  /** While it is on the lab itself is too busy for as many probes as the floor says (invariant F3: where allowed). */
  readonly noFloor?: true;
}

/** A single object, address or MAC that changed is put right by event. Source: invariants D5, D11. */
const REPAIRED: FaultMark = { lasts: "moment", gap: { maxGapMs: 1000 } };
const HARMLESS: FaultMark = { lasts: "moment" };
/** Who comes hinders nobody. */
const COMERS: FaultMark = { lasts: "no-time", noFloor: true };
/** An agent that is away, or whose store is, loses no packet. Source: invariant D5. */
const AGENT_AWAY: FaultMark = { lasts: "agent-start" };
const STORE_AWAY: FaultMark = { lasts: "heal", deaf: true };
/** It is not held to anything in time, and hears of everything all the same. */
const HINDERED: FaultMark = { lasts: "heal" };
/** Who has lost its lease cannot have it back before there is room, and is gone for its peers until then. */
const STORE_FULL: FaultMark = { lasts: "heal", gap: { maxGapMs: 5000, untilEnd: true } };
const CUT_OFF: FaultMark = { lasts: "heal", gap: { maxGapMs: 2000, untilEnd: true }, deaf: true };
/** What is late is not lost, as long as nobody takes it for lost; what was on its way at the end may be. */
const SLOW: FaultMark = { lasts: "heal", gap: { maxGapMs: 1000 }, deaf: true };
/** A device is back, or a reserved lease is written again. Source: invariants D10, B10. */
const MADE_ANEW: FaultMark = { lasts: "moment", gap: { maxGapMs: 5000 } };

/** A lease is taken again by the one who lost it, and nobody sends there before. Source: invariant B10. */
const LEASE_GONE: FaultMark = { lasts: "moment", gap: { maxGapMs: 5000, onceHeard: true } };
/** A store that was restored. Source: invariant C9. */
const ANOTHER_STORE: FaultMark = {
  lasts: "moment",
  gap: { maxGapMs: 10_000 },
  resyncMs: 10_000,
};

/** Two leases are published anew, each with what was the other's. Source: invariants A3, B10. */
const SWAPPED: FaultMark = { ...MADE_ANEW, resyncMs: 5000, everywhere: true };

/** A fault that is not named here is taken to keep everything of its host from working until it is healed. */
const MARKS: Readonly<Partial<Record<FaultName, FaultMark>>> = {
  "alter-fdb": REPAIRED,
  "alter-neighbour": REPAIRED,
  "alter-route": REPAIRED,
  "change-address": REPAIRED,
  "change-leader": HARMLESS,
  "change-mac": REPAIRED,
  "change-mtu": HARMLESS,
  "clock-drift": HINDERED,
  "clock-jump": HINDERED,
  "clock-strobe": HINDERED,
  "compact-often": HARMLESS,
  "compact-store": HARMLESS,
  "delete-fdb": REPAIRED,
  "delete-lease": LEASE_GONE,
  "delete-link": MADE_ANEW,
  "delete-neighbour": REPAIRED,
  "delete-route": REPAIRED,
  detour: REPAIRED,
  "expire-lease": LEASE_GONE,
  "expire-tokens": HARMLESS,
  "fill-store": STORE_FULL,
  "flush-routes": REPAIRED,
  "foreign-device": HARMLESS,
  "foreign-route": HARMLESS,
  "isolate-member": STORE_AWAY,
  "join-storm": COMERS,
  "kill-agent": AGENT_AWAY,
  "leave-storm": HARMLESS,
  "link-flap": CUT_OFF,
  "long-uptime": HINDERED,
  "lose-quorum": STORE_AWAY,
  loss: CUT_OFF,
  partition: CUT_OFF,
  "pause-agent": STORE_AWAY,
  "pause-member": STORE_AWAY,
  "pause-store": STORE_AWAY,
  "poison-key": HINDERED,
  "read-only-run": HINDERED,
  "reserve-lease": MADE_ANEW,
  reorder: SLOW,
  "reset-connections": STORE_AWAY,
  "restart-agent": AGENT_AWAY,
  "rolling-restart": HARMLESS,
  "roll-back-store": ANOTHER_STORE,
  "stop-agent": AGENT_AWAY,
  "stop-member": HARMLESS,
  "stop-store": STORE_AWAY,
  "swap-addresses": SWAPPED,
  "throttle-agent": STORE_AWAY,
};

export function markOf({ fault, parameters }: FaultRequest): FaultMark {
  if (fault === "partition" && parameters["from"] === "store") {
    return STORE_AWAY;
  }
  if (
    ["delay", "jitter"].includes(fault) &&
    longestDelayMs(fault, parameters) < LOST_AFTER_MS / 2
  ) {
    return SLOW;
  }
  return Object.entries(MARKS).find(([name]) => name === fault)?.[1] ?? CUT_OFF;
}

/** Of one frame in one direction, by a fault that delays. */
function longestDelayMs(fault: string, parameters: FaultRequest["parameters"]): number {
  return Number(parameters["ms"]) * (fault === "jitter" ? 3 : 1);
}
