/** Bytes by network device, from the kernel's own table. Source: proc_pid_net(5), /proc/net/dev. */
export interface LinkTraffic {
  readonly link: string;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** What the table shows; of the reader's own network namespace. */
export const TRAFFIC_FILE = "/proc/net/dev";
/** Column of the bytes sent, of sixteen; the first are the bytes received. */
const SENT_COLUMN = 8;

/** The rows of these devices; one that is not there has none. */
export function parseLinkTraffic(table: string, links: readonly string[]): readonly LinkTraffic[] {
  const rows: LinkTraffic[] = [];
  for (const line of table.split("\n")) {
    const [name = "", figures] = line.split(/:\s+(?=\d)/);
    const link = name.trim();
    if (figures === undefined || !links.includes(link)) continue;
    const columns = figures.trim().split(/\s+/).map(Number);
    const [receivedBytes] = columns;
    const sentBytes = columns[SENT_COLUMN];
    if (receivedBytes !== undefined && sentBytes !== undefined)
      rows.push({ link, receivedBytes, sentBytes });
  }
  return rows;
}
