/** Where Node keeps compiled code of the lab and of its agents, so that the hundredth agent does not compile what the first one did. */
import { flushCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

/** The same place as in main.mjs, under Node's own name for it; whoever sets it to something else is obeyed. Source: Node's documentation of module.enableCompileCache. */
export const COMPILE_CACHE: Readonly<Record<"NODE_COMPILE_CACHE", string>> = {
  NODE_COMPILE_CACHE:
    process.env["NODE_COMPILE_CACHE"] ??
    fileURLToPath(new URL("../../../node_modules/.cache/compiled", import.meta.url)),
};

/** Has the compiled code of this process kept once it has settled, because it will not live to its end. Source: kept-code.cjs. */
export function keepCompiled(): void {
  flushCompileCache();
}
