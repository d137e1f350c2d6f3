/** Crashes on a programmer error: a condition that no input and no kernel can make false. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
