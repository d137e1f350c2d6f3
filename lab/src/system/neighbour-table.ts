import { readText } from "./files.ts";

/** Of the first network namespace; another one has no such files. Source: linux/net/core/neighbour.c, neigh_stat_seq_show. */
const STATISTICS = ["/proc/net/stat/arp_cache", "/proc/net/stat/ndisc_cache"];
const COLUMN = "table_fulls";

/**
 * How often the kernel had no room for another ARP or NDP entry, since it booted; undefined where that is not to be seen. There is
 * one table for all network namespaces, and whoever gets no entry in it loses packets (net.ipv4.neigh.default.gc_thresh3).
 */
export function neighbourTableOverflows(): number | undefined {
  const texts = STATISTICS.flatMap((path) => readText(path) ?? []);
  return texts.length === 0
    ? undefined
    : texts.reduce((sum, text) => sum + parseOverflows(text), 0);
}

/** A line a processor, in hexadecimal; 0 where the column is not there. */
export function parseOverflows(text: string): number {
  const [names = [], ...rows] = text
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const column = names.indexOf(COLUMN);
  return rows.reduce((sum, row) => sum + Number.parseInt(row[column] ?? "0", 16), 0);
}
