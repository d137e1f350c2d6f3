import { EtcdSubnetManager, type EtcdSubnetManagerOptions } from "./etcd-subnet-manager.ts";
import { Etcd3Store, type Etcd3StoreOptions } from "./etcd3-store.ts";

/** Leases in a real etcd; connects when first asked something. @throws AgentError "options-invalid" */
export function openEtcdSubnetManager(
  options: EtcdSubnetManagerOptions & Etcd3StoreOptions,
): EtcdSubnetManager {
  return new EtcdSubnetManager(new Etcd3Store(options), options);
}
