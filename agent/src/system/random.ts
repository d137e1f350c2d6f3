/** Numbers nobody can predict in production, and everybody can repeat in a simulation. */
export interface Random {
  /** A whole number from 0 up to, not including, `limit`; `limit` at most 2^48. */
  integer(limit: number): number;
  bytes(count: number): Uint8Array;
}

/** A wait between 50 % and 100 % of `ms`, so that nodes that failed together do not retry together. */
export function jitteredMs(random: Random, ms: number): number {
  return Math.ceil(ms / 2) + random.integer(Math.max(1, Math.floor(ms / 2)));
}
