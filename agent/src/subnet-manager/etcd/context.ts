import type { Clock } from "../../system/clock.ts";
import type { Log } from "../../system/log.ts";
import type { Random } from "../../system/random.ts";
import type { Figures } from "./figures.ts";
import type { Keys } from "./keys.ts";
import type { KeyValueStore } from "./key-value-store.ts";
import type { Outage } from "./outage.ts";
import type { LeaseReader } from "./lease-entries.ts";

/** What every part of the subnet manager works with. */
export interface StoreContext {
  readonly store: KeyValueStore;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly outage: Outage;
  readonly leases: LeaseReader;
  readonly figures: Figures;
  /** How long a lease lives without renewal. */
  readonly leaseTtlSeconds: number;
  /** How long before its end a lease is renewed. */
  readonly renewMarginMinutes: number;
}
