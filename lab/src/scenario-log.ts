import type { IpFamily } from "./addresses.ts";
import type { Lab, LabEvent } from "./lab.ts";
import { lastLines } from "./log-text.ts";
import {
  EVENT_LOG_VERSION,
  type MachineFacts,
  type Repetition,
  type RunEvent,
} from "./report/events.ts";
import { judge, type Judgement } from "./report/verdict.ts";
import { factsOfVariant } from "./run-facts.ts";
import { hostsOf } from "./scenario-check.ts";
import { formatStep, formatVariant } from "./scenario-text.ts";
import type { Scenario, Step, Variant } from "./scenario.ts";
import type { Clock } from "./system/clock.ts";
import { planTopology, STORE_NAME, storeEndpoints } from "./topology.ts";
import { checksFor } from "./watch/checks/registry.ts";

/** Lines of each host's log that are kept; the last ones. */
const MAX_LOG_LINES = 2000;

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** An event that is to be told: now, or with the moment of the clock at which it was. */
type Happening = DistributiveOmit<RunEvent, "at"> & { readonly atMs?: number };

export type FaultEvent = Extract<Happening, { readonly fault: string }>;

/** What is known of a run before it begins. */
export interface RunFacts {
  readonly run: string;
  /** The command line of the agents: of all, or of each host's. */
  readonly agent: string | ((host: string) => string);
  /** Which one of how many that are all the same; absent where there is only one. */
  readonly repetition?: Repetition;
  readonly seed: number;
  /** The command line that makes the same run again, where one made this. */
  readonly again?: string;
  /** What hosts are made of, where it is not namespaces. */
  readonly driver?: string;
  readonly machine: MachineFacts;
}

/** Where the events of a run go, each with its time since the run began. */
export class ScenarioLog {
  readonly #clock: Clock;
  readonly #beganMs: number;
  readonly #append: (event: RunEvent) => void;
  readonly #events: RunEvent[] = [];

  constructor(clock: Clock, append: (event: RunEvent) => void) {
    this.#clock = clock;
    this.#beganMs = clock.nowMs();
    this.#append = append;
  }

  /** In milliseconds of the clock. */
  get beganMs(): number {
    return this.#beganMs;
  }

  tell({ atMs, ...event }: Happening): void {
    const at = Math.max(0, (atMs ?? this.#clock.nowMs()) - this.#beganMs);
    const timed: RunEvent = { ...event, at };
    this.#events.push(timed);
    this.#append(timed);
  }

  /** @param isWatched whether witnesses watch invariants while it goes on */
  begin(scenario: Scenario, variant: Variant, facts: RunFacts, isWatched: boolean): void {
    const { nodes, name, why, invariants } = scenario;
    const families: readonly IpFamily[] = variant.family === "dual" ? ["ipv4", "ipv6"] : ["ipv4"];
    const { segments, hosts, store } = planTopology({
      nodes,
      segments: variant.segments,
      families,
      storeMembers: scenario.storeMembers ?? 1,
    });
    this.tell({
      type: "run-started",
      version: EVENT_LOG_VERSION,
      wallClock: this.#clock.isoTime(),
      run: facts.run,
      ...(facts.repetition === undefined ? {} : { repetition: facts.repetition }),
      ...(facts.driver === undefined ? {} : { driver: facts.driver }),
      seed: facts.seed,
      ...(facts.again === undefined ? {} : { again: facts.again }),
      watched: isWatched ? checksFor(factsOfVariant(variant)).map(({ id }) => id) : [],
      scenario: { name, why, invariants, steps: scenario.steps.map(stepFacts) },
      variant: { backend: variant.backend, family: variant.family, text: formatVariant(variant) },
      agents: hostsOf(scenario).map((host) => ({
        host,
        command: typeof facts.agent === "string" ? facts.agent : facts.agent(host),
      })),
      machine: facts.machine,
    });
    this.tell({
      type: "topology",
      segments: segments.map(({ bridge, addresses }) => ({ name: bridge, addresses })),
      hosts: hosts.map((host) => ({
        name: host.name,
        segment: host.bridge,
        publicIps: host.addresses.map(({ address }) => address),
      })),
      store: {
        name: STORE_NAME,
        segment: store[0]?.bridge ?? "",
        endpoint: storeEndpoints(store.length).join(","),
      },
    });
  }

  /** Whether a moment of the clock is one of this run: a lab may be older than it. */
  began(atMs: number): boolean {
    return atMs >= this.#beganMs;
  }

  /** What the agents of the hosts wrote. */
  keepLogs(logs: readonly { readonly host: string; readonly text: string }[]): void {
    for (const { host, text } of logs) {
      const all = lastLines(text, Number.POSITIVE_INFINITY);
      const lines = all.slice(-MAX_LOG_LINES);
      this.tell({ type: "host-log", host, lines, omitted: all.length - lines.length });
    }
  }

  /** What the run comes to, by its log alone. */
  end(): Judgement {
    const at = this.#clock.nowMs() - this.#beganMs;
    const judgement = judge([...this.#events, { type: "run-ended", at, verdict: "unknown" }]);
    this.tell({ type: "run-ended", verdict: judgement.verdict });
    return judgement;
  }
}

/** Ends the watch of a lab when it is disposed: while its last words can still be read. */
export class WatchedRun implements AsyncDisposable {
  readonly #lab: Pick<Lab, "finishWatch">;

  constructor(lab: Pick<Lab, "finishWatch">) {
    this.#lab = lab;
  }

  /** @throws LabError when the lab is gone */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lab.finishWatch({});
  }
}

/** Tells what happens in a lab by itself until it is disposed. */
export class LabFollower implements AsyncDisposable {
  readonly #stop: AbortController = new AbortController();
  readonly #following: Promise<void>;

  constructor(lab: Pick<Lab, "readNews">, clock: Clock, log: ScenarioLog) {
    this.#following = follow(lab, { clock, log, signal: this.#stop.signal });
    // Whoever disposes is told; until then nobody waits.
    this.#following.catch(() => undefined);
  }

  /** @throws LabError when the lab could not be followed to its end */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }
}

async function follow(
  lab: Pick<Lab, "readNews">,
  { clock, log, signal }: { clock: Clock; log: ScenarioLog; signal: AbortSignal },
): Promise<void> {
  let after = 0;
  let last = false;
  while (!last) {
    // The call that an abort ends tells what there is still.
    last = signal.aborted;
    const { events, count } = await lab.readNews({ after }, { signal });
    const nowMs = clock.nowMs();
    for (const { agoMs, event } of events.filter((one) => log.began(nowMs - one.agoMs))) {
      happeningsOf(event).forEach((one) => {
        log.tell({ ...one, atMs: nowMs - agoMs });
      });
    }
    after = count;
  }
}

function happeningsOf(event: LabEvent): readonly Happening[] {
  return event.type === "fault-expired"
    ? healEvents(event.fault, event.saw, "its time was over")
    : [event];
}

/** The end of a fault, as somebody saw it or as nobody did. */
export function healEvents(
  fault: string,
  saw: string | undefined,
  trouble: string,
): readonly FaultEvent[] {
  return saw === undefined
    ? [{ type: "fault-not-seen", fault, part: "heal", detail: trouble }]
    : [
        { type: "fault-healed", fault },
        { type: "fault-heal-verified", fault, saw },
      ];
}

function stepFacts(step: Step): { kind: "expect" | "fault" | "act" | "probe"; text: string } {
  const kinds = ["expect", "fault", "probe"] as const;
  return { kind: kinds.find((kind) => kind in step) ?? "act", text: formatStep(step) };
}
