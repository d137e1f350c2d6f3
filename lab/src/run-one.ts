import { join } from "node:path";
import { agentCommandOf, parseAgentCommands } from "./agent-commands.ts";
import { connectLab } from "./client.ts";
import { LabError } from "./errors.ts";
import { endLab, type LaunchedLab, launchLab } from "./launch.ts";
import { type HostDriverName, labOptions } from "./options.ts";
import type { Repetition, RunEvent } from "./report/events.ts";
import { judge } from "./report/verdict.ts";
import { readAgentLogs } from "./run-directory.ts";
import type { ScenarioResult } from "./scenario-result.ts";
import { type OpenLab, runScenario } from "./scenario-run.ts";
import type { Scenario, Variant } from "./scenario.ts";
import type { Turns } from "./turns.ts";
import { systemClock } from "./system/clock.ts";
import { neighbourTableOverflows } from "./system/neighbour-table.ts";
import { defaultFlanneld } from "./own-agent.ts";
import {
  describeMachine,
  labsDirectory,
  ownProcessId,
  workingDirectory,
} from "./system/machine.ts";

export interface RunRequest {
  /** Makes the lab's name different from that of other runs of this process. */
  readonly number: number;
  /** Each value of `--flanneld`, in their order. */
  readonly flanneld: readonly string[];
  /** What hosts are made of; by default namespaces. */
  readonly driver?: HostDriverName;
  /** For bringing the lab up. */
  readonly timeoutSeconds?: number | undefined;
  /** Of labs that come up: agents that all start at once take every core, while other runs ask how soon theirs act. */
  readonly turns?: Turns;
  readonly repetition?: Repetition;
  /** Of all that the lab leaves to chance. */
  readonly seed: number;
  /** The command line that makes the same run again, where one made this. */
  readonly again?: string;
  /** What is left of a lab whose run did not pass: nothing, the files of its run directory, or all of it, running. */
  readonly leave: "nothing" | "files" | "lab";
  /** A run that is interrupted leaves no lab running. */
  readonly signal: AbortSignal;
  /** For the evidence of violations: the folder of its event log. */
  readonly watchFolder: string;
  readonly append?: (event: RunEvent) => void;
}

export interface RunResult extends ScenarioResult {
  /** The name of the lab, where it still runs. */
  readonly leftUp?: string;
}

/** One variant in a lab of its own, which is down again when this returns, unless it is to be left. */
export async function runOne(
  scenario: Scenario,
  variant: Variant,
  request: RunRequest,
): Promise<RunResult> {
  const name = `run-${ownProcessId()}-${request.number}`;
  const runDirectory = join(labsDirectory(), name);
  try {
    const result = await play(scenario, variant, request, { name, runDirectory });
    if (request.leave !== "lab") {
      return result;
    }
    const isWanted = result.verdict !== "pass" && !request.signal.aborted;
    if (isWanted && (await endWatch(runDirectory))) {
      return { ...result, leftUp: name };
    }
    await endLab(runDirectory);
    return result;
  } catch (error) {
    // Nobody would be told of a lab that still runs.
    await endLab(runDirectory);
    throw error;
  }
}

/**
 * Whoever looks at a lab that is left is not to see the packets of its witnesses: of one that did not come up they are not
 * at their end. False when there is no lab that answers.
 */
async function endWatch(runDirectory: string): Promise<boolean> {
  try {
    const connection = await connectLab(runDirectory);
    try {
      await connection.lab.finishWatch({});
    } finally {
      connection.close();
    }
    return true;
  } catch (error) {
    if (error instanceof LabError) {
      return false;
    }
    throw error;
  }
}

async function play(
  scenario: Scenario,
  variant: Variant,
  request: RunRequest,
  { name, runDirectory }: { readonly name: string; readonly runDirectory: string },
): Promise<ScenarioResult> {
  // Waiting is none of the run's time.
  const isUp = await request.turns?.take();
  try {
    return await playInTurn(scenario, variant, request, { name, runDirectory, isUp });
  } finally {
    isUp?.();
  }
}

interface Place {
  readonly name: string;
  readonly runDirectory: string;
  /** Is told when the lab is up, or will not be. */
  readonly isUp: (() => void) | undefined;
}

function playInTurn(
  scenario: Scenario,
  variant: Variant,
  request: RunRequest,
  { name, runDirectory, isUp }: Place,
): Promise<ScenarioResult> {
  const defaults = { flanneld: defaultFlanneld(), workingDirectory: workingDirectory() };
  const { flanneld, driver, timeoutSeconds, repetition, seed, again, leave, signal } = request;
  const agents = parseAgentCommands(flanneld, defaults.flanneld);
  const events: RunEvent[] = [];
  return runScenario(scenario, variant, {
    clock: systemClock,
    facts: {
      run: name,
      ...(repetition === undefined ? {} : { repetition }),
      ...(driver === undefined ? {} : { driver }),
      seed,
      ...(again === undefined ? {} : { again }),
      agent: (host) => agentCommandOf(agents, host).text,
      machine: describeMachine(),
    },
    watchFolder: request.watchFolder,
    shortage: shortageSince(neighbourTableOverflows()),
    append: (event) => {
      events.push(event);
      request.append?.(event);
    },
    openLab: async (wishes): Promise<OpenLab> => {
      const more = {
        ...(driver === undefined ? {} : { driver }),
        ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
      };
      const options = labOptions({ ...wishes, name, flanneld, ...more }, defaults);
      const call = { signal, keepOnFail: leave === "lab" };
      const launched = await launchLab(options, runDirectory, call).finally(isUp);
      return {
        lab: launched.lab,
        readLogs: () => readAgentLogs(runDirectory),
        [Symbol.asyncDispose]: () =>
          letGo(launched, hasPassed(events) || signal.aborted ? "nothing" : leave),
      };
    },
  });
}

/** Other labs of the machine use the same table, and so does the machine itself. */
function shortageSince(before: number | undefined): () => string | undefined {
  return () => {
    const times = (neighbourTableOverflows() ?? 0) - (before ?? 0);
    return before === undefined || times === 0
      ? undefined
      : `the machine had no room for another ARP or NDP entry, ${times} times: packets were lost for that (net.ipv4.neigh.default.gc_thresh3 is for all network namespaces)`;
  };
}

async function letGo(launched: LaunchedLab, leave: RunRequest["leave"]): Promise<void> {
  if (leave === "lab") {
    launched.release();
  } else {
    await launched.down({ keep: leave === "files" });
  }
}

/** What the log would come to if it ended now: the lab is let go before the run is judged. */
function hasPassed(events: readonly RunEvent[]): boolean {
  const at = events.at(-1)?.at ?? 0;
  return judge([...events, { type: "run-ended", at, verdict: "unknown" }]).verdict === "pass";
}
