import { createHash } from "node:crypto";
import { loadAddon } from "./addon.ts";
import { NetlinkError } from "./errors.ts";
import { type Family, familyNumber } from "./ip.ts";

const PROGRAMS: Readonly<Record<Family, string>> = {
  inet: "iptables-legacy",
  inet6: "ip6tables-legacy",
};

/**
 * SHA-256 of the rules and policies of some tables of legacy iptables, in hexadecimal: the same one as long as nobody changes them.
 * What they count does not matter; a table that is not in use counts as empty, and stays unused. Asked in a fraction of a millisecond.
 * @param tables their names: `nat`, `filter`, …
 * @param namespace path of a network namespace; absent for the process's own
 * @throws NetlinkError EPERM without CAP_NET_ADMIN, EAGAIN when a table changed each time it was read
 * Source: linux/netfilter_ipv4/ip_tables.h IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES, and their twins in ip6_tables.h
 */
export function digestLegacyTables(
  family: Family,
  tables: readonly string[],
  namespace?: string,
): string {
  const hash = createHash("sha256");
  for (const table of tables) {
    const read = loadAddon().readLegacyTable(namespace ?? null, familyNumber(family), table);
    if (typeof read === "number") {
      const where = namespace === undefined ? "" : ` in ${namespace}`;
      throw new NetlinkError(`read the table ${table} of ${PROGRAMS[family]}${where}`, read);
    }
    // What is not empty begins with the table's name and size, so that no two tables can pass for one.
    hash.update(read);
  }
  return hash.digest("hex");
}
