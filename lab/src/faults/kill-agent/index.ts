import { ending } from "../agent-process.ts";
import { type AnyFault, defineFault } from "../fault.ts";

export const killAgent: AnyFault = defineFault({
  name: "kill-agent",
  summary: "Kills the agent of a host with SIGKILL, as a crash does.",
  place: "host",
  parameters: {},
  ...ending("SIGKILL", 2000),
});
