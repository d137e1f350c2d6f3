import type { FrameFate } from "linux";

/** How a fault decides about one frame; `draw` gives numbers from 0 up to 1. */
export type Decide = (draw: () => number) => FrameFate;

/** After so many frames decisions come again: long enough that nothing a run does falls into step with it. */
export const PERIOD_FRAMES = 65_536;

export const MICROSECONDS_PER_MS = 1000;
/** Numbers of 32 bits. */
const DRAWS = 2 ** 32;
/** 2^32 divided by the golden ratio, odd: added again and again it meets every number of 32 bits once. */
const STEP = 0x9e37_79b9;

/** What becomes of the frames of a wire, one after the other. The same seed gives the same, whatever the frames are and whenever they come. */
export function fatesOf(decide: Decide, seed: number): readonly FrameFate[] {
  const draw = drawsOf(seed);
  return Array.from({ length: PERIOD_FRAMES }, () => decide(draw));
}

/** A bit of a frame, as `FrameFate` counts them, out of a number that was drawn. */
export function bitOf(drawn: number): number {
  return Math.floor(drawn * (DRAWS - 1));
}

/** Numbers from 0 up to 1, as if by chance. Source: the finalizer of MurmurHash3 (Appleby), over steps of a Weyl sequence. */
function drawsOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + STEP) >>> 0;
    let word = state;
    word = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2_ae35);
    return ((word ^ (word >>> 16)) >>> 0) / DRAWS;
  };
}
