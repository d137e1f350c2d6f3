import { LabError } from "../../errors.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtLease, type LeaseTarget, TAKEN } from "../held-lease.ts";

export const expireLease: AnyFault = defineFault<LeaseTarget>({
  name: "expire-lease",
  summary: "Lets the etcd lease of a host's subnet run out at once.",
  place: "host",
  parameters: {},
  ...TAKEN,
  aim: async (site) => {
    const target = await aimAtLease(site);
    if (target.entry.leaseId === undefined) {
      throw new LabError("wrong-state", `${target.entry.key} is a reservation: it never runs out`);
    }
    return target;
  },
  inject: ({ store }, { entry }) => store.gateway.revoke(entry.leaseId ?? ""),
});
