import { EtcdSubnetManager, type EtcdSubnetManagerOptions } from "./etcd-subnet-manager.ts";
import { MemoryStore, type MemoryStoreOptions } from "./memory-store.ts";

/** The same subnet manager over a cluster in memory, with the store beside it for its commands. */
export function openMemorySubnetManager(options: EtcdSubnetManagerOptions & MemoryStoreOptions): {
  readonly subnetManager: EtcdSubnetManager;
  readonly store: MemoryStore;
} {
  const store = new MemoryStore(options);
  return { subnetManager: new EtcdSubnetManager(store, options), store };
}
