import type { IncomingMessage } from "node:http";

export type { IncomingMessage };

/**
 * Node's own, not by `import`: an ES module that imports from `node:http` makes Node compute all that it exports, a whole web client
 * among it, which is half of the time in which an empty program starts.
 */
export const request: typeof import("node:http").request =
  process.getBuiltinModule("node:http").request;
