/** Time for everything that waits: monotonic, so that wall-clock jumps move no deadline. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  nowMs(): number;
  /** The wall clock, for text that people read only. */
  wallClock(): Date;
  /** Resolves after `ms` (split so that no timer exceeds 2³¹−1 ms); rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Resolves after everything else that is ready has had its turn: what computes for long calls it between slices. */
  yield(): Promise<void>;
}
