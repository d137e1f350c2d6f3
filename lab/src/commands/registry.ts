import type { Command } from "./command.ts";

/** One line a verb; loaded when it is used, so that a verb costs only its own files. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => (await import("./up.ts")).up,
  down: async () => (await import("./down.ts")).down,
  ps: async () => (await import("./ps.ts")).ps,
  exec: async () => (await import("./exec.ts")).exec,
  logs: async () => (await import("./logs.ts")).logs,
  events: async () => (await import("./events.ts")).events,
  capture: async () => (await import("./capture.ts")).capture,
  ping: async () => (await import("./ping.ts")).ping,
  graph: async () => (await import("./graph.ts")).graph,
  node: async () => (await import("./node.ts")).node,
  scale: async () => (await import("./scale.ts")).scale,
  fault: async () => (await import("./fault.ts")).fault,
  heal: async () => (await import("./heal.ts")).heal,
  run: async () => (await import("./run.ts")).run,
  report: async () => (await import("./report.ts")).report,
  replay: async () => (await import("./replay.ts")).replay,
  compare: async () => (await import("./compare.ts")).compare,
  gc: async () => (await import("./gc.ts")).gc,
  completion: async () => (await import("./completion.ts")).completionOf(COMMANDS),
  doctor: async () => (await import("./doctor.ts")).doctor,
};
