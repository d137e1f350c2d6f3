import type { Clock } from "../../system/clock.ts";
import type { StoreVerb } from "../subnet-manager.ts";
import type { Figures } from "./figures.ts";
import type { KeyValueStore } from "./key-value-store.ts";

/** The same store, with the duration of every request noted. A watch is no request: it lasts. */
export function measuredStore(
  store: KeyValueStore,
  clock: Pick<Clock, "nowMs">,
  figures: Figures,
): KeyValueStore {
  const measured = async <Answer>(verb: StoreVerb, ask: Promise<Answer>): Promise<Answer> => {
    const beganMs = clock.nowMs();
    let answered = false;
    try {
      const answer = await ask;
      answered = true;
      return answer;
    } finally {
      figures.asked(verb, (clock.nowMs() - beganMs) / 1_000, answered);
    }
  };
  return {
    endpoints: store.endpoints,
    range: (...asked) => measured("range", store.range(...asked)),
    txn: (...asked) => measured("txn", store.txn(...asked)),
    watch: (...asked) => store.watch(...asked),
    grantLease: (...asked) => measured("grant", store.grantLease(...asked)),
    revokeLease: (...asked) => measured("revoke", store.revokeLease(...asked)),
    timeToLive: (...asked) => measured("time-to-live", store.timeToLive(...asked)),
    reconnect: () => store.reconnect(),
    close: () => store.close(),
  };
}
