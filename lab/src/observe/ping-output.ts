/** What ping(8) counted. */
export interface PingCount {
  readonly sent: number;
  readonly received: number;
}

/** Reads the summary of iputils or busybox; undefined where there is none. */
export function parsePingCount(text: string): PingCount | undefined {
  const packets = /(\d+) packets transmitted, (\d+) (?:packets )?received/.exec(text);
  return packets === null ? undefined : { sent: Number(packets[1]), received: Number(packets[2]) };
}
