import { setFlagsFromString } from "node:v8";

/**
 * Has V8 collect young objects every megabyte: for each of the hundreds of programs that a supervisor starts the kernel copies the page
 * tables of all its memory. To be called at the start. Source: `node --v8-options`, semi-space-growth-factor.
 */
export function keepHeapSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}
