import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtLease, TAKEN } from "../held-lease.ts";

export const deleteLease: AnyFault = defineFault({
  name: "delete-lease",
  summary: "Deletes the key of a host's lease from the store.",
  place: "host",
  parameters: {},
  ...TAKEN,
  aim: aimAtLease,
  inject: ({ store }, { entry }) => store.gateway.remove(entry.key),
});
