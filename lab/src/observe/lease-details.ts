import type { IpFamily } from "../addresses.ts";
import type { StoreEntry } from "../lab.ts";
import { parseLease } from "./leases.ts";

type PerFamily = Readonly<Partial<Record<IpFamily, string>>>;

/** What a lease says that peers' kernels must hold, per family. */
export interface LeaseDetails {
  readonly key: string;
  readonly subnets: PerFamily;
  readonly publicIps: PerFamily;
  /** Of vxlan leases. Source: flannel pkg/backend/vxlan/vxlan.go, vxlanLeaseAttrs. */
  readonly vtepMacs: PerFamily;
}

/** The leases among the entries below `<prefix>/subnets/`; entries that are none are left out. */
export function leaseDetails(entries: readonly StoreEntry[]): LeaseDetails[] {
  return entries.flatMap((entry) => {
    const lease = parseLease(entry);
    if (lease === undefined) {
      return [];
    }
    // parseLease has read the same text as an object.
    const value = JSON.parse(entry.value) as Readonly<Record<string, unknown>>;
    return [
      {
        key: lease.key,
        subnets: perFamily(lease.subnets[0], lease.subnets[1]),
        publicIps: perFamily(lease.publicIp, value["PublicIPv6"]),
        vtepMacs: perFamily(macOf(value["BackendData"]), macOf(value["BackendV6Data"])),
      },
    ];
  });
}

function perFamily(ipv4: unknown, ipv6: unknown): PerFamily {
  return {
    ...(typeof ipv4 === "string" ? { ipv4 } : {}),
    ...(typeof ipv6 === "string" ? { ipv6 } : {}),
  };
}

function macOf(data: unknown): unknown {
  return typeof data === "object" && data !== null && "VtepMAC" in data ? data.VtepMAC : undefined;
}
