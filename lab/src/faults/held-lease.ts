import { LabError } from "../errors.ts";
import type { StoreEntry } from "../lab.ts";
import type { FaultDefinition, FaultSite } from "./fault.ts";

export interface LeaseTarget {
  readonly entry: StoreEntry;
}

type LeaseFault = FaultDefinition<LeaseTarget>;

/** The lease that a host holds. @throws LabError "wrong-state" when it holds none */
export async function aimAtLease(site: FaultSite): Promise<LeaseTarget> {
  const own = site.host().plan.addresses.map(({ address }) => address);
  const lease = (await site.leases()).find(({ publicIps }) =>
    Object.values(publicIps).some((address) => own.includes(address)),
  );
  const entry = lease === undefined ? undefined : await entryOf(site, lease.key);
  if (entry === undefined) {
    throw new LabError("wrong-state", `${site.host().name} holds no lease`);
  }
  return { entry };
}

/** A lease that was taken from the store: only its agent can take it again. */
export const TAKEN: Pick<LeaseFault, "timeLimitMs" | "verify" | "heal" | "verifyHealed"> = {
  timeLimitMs: 2000,
  verify: async (site, { entry }) => {
    const now = await entryOf(site, entry.key);
    return now?.createRevision === entry.createRevision
      ? undefined
      : {
          saw: `the store has ${now === undefined ? "no" : "another"} ${entry.key} than that of revision ${entry.createRevision}`,
        };
  },
  heal: async () => undefined,
  verifyHealed: async ({ store }) =>
    (await store.gateway.isHealthy()) ? { saw: "etcd says that it is healthy" } : undefined,
};

/** What the store has under a key, or undefined. */
export async function entryOf({ store }: FaultSite, key: string): Promise<StoreEntry | undefined> {
  const { entries } = await store.gateway.range(key);
  return entries.find((entry) => entry.key === key);
}
