/** What ping(8) counted for one address. */
export interface PingCount {
  readonly sent: number;
  readonly received: number;
  readonly averageMs?: number;
}

/**
 * Pings each address given after count and seconds, all at once, and prints one block per address: `== ADDRESS` and
 * ping's own text. A block is one write, so blocks never mix.
 */
export const PING_SCRIPT = `count=$1; seconds=$2; shift 2
for address do
  (
    said=$(ping -n -q -c "$count" -i 0.2 -W "$seconds" "$address" 2>&1)
    printf '== %s\\n%s\\n' "$address" "$said"
  ) &
done
wait
`;

/** Reads what `PING_SCRIPT` printed, by address. An address whose block has no counts is left out. */
export function parsePingOutput(text: string): Map<string, PingCount> {
  const counts = new Map<string, PingCount>();
  for (const block of text.split(/^== /m).slice(1)) {
    const address = block.slice(0, block.indexOf("\n"));
    const packets = /(\d+) packets transmitted, (\d+) (?:packets )?received/.exec(block);
    if (packets === null) {
      continue;
    }
    // iputils says "rtt min/avg/max/mdev", busybox "round-trip min/avg/max".
    const average = /min\/avg\/max[^=]*= [\d.]+\/([\d.]+)\//.exec(block)?.[1];
    counts.set(address, {
      sent: Number(packets[1]),
      received: Number(packets[2]),
      ...(average === undefined ? {} : { averageMs: Number(average) }),
    });
  }
  return counts;
}
