import { randomBytes, randomInt } from "node:crypto";
import type { Random } from "./random.ts";

/** The operating system's random numbers. */
export class CryptoRandom implements Random {
  integer(limit: number): number {
    return randomInt(limit);
  }

  bytes(count: number): Uint8Array {
    return randomBytes(count);
  }
}
