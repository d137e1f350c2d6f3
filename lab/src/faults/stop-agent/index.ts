import { ending } from "../agent-process.ts";
import { type AnyFault, defineFault } from "../fault.ts";

/** An agent that was asked to stop has gone after this time (invariant E4). */
const STOPS_WITHIN_MS = 2000;

export const stopAgent: AnyFault = defineFault({
  name: "stop-agent",
  summary: "Stops the agent of a host with SIGTERM, as an upgrade does.",
  place: "host",
  parameters: {},
  ...ending("SIGTERM", STOPS_WITHIN_MS),
});
