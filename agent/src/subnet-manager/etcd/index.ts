import { EtcdSubnetManager, type EtcdSubnetManagerOptions } from "./etcd-subnet-manager.ts";
import { Etcd3Store, type Etcd3StoreOptions } from "./etcd3-store.ts";

/** Leases in a real etcd; connects when first asked something. @throws AgentError "options-invalid", "file-unusable" */
export function openEtcdSubnetManager(
  options: EtcdSubnetManagerOptions & Omit<Etcd3StoreOptions, "onWarning">,
): EtcdSubnetManager {
  const onWarning = (message: string): void => options.log.warn({}, message);
  return new EtcdSubnetManager(new Etcd3Store({ ...options, onWarning }), options);
}
