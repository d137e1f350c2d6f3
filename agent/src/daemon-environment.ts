/**
 * What of the machine the agent was started for, compared with what it is now. Kernel events and sweeps only say "look": this is the one
 * place that sees a change of the external interface and makes another backend of it.
 */
import type { Backend } from "./backends/backend.ts";
import { AgentError } from "./core/errors.ts";
import { chooseExternalInterface } from "./core/external-interface.ts";
import type {
  ChosenInterface,
  InterfaceQuestion,
  InterfaceWishes,
} from "./core/external-interface.ts";
import { followExternalInterface } from "./core/follow-external-interface.ts";
import type { Following } from "./core/follow-external-interface.ts";
import { FAMILIES, parseIp } from "./core/ip.ts";
import { Latest } from "./core/latest.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import type { Kernel } from "./kernel/kernel.ts";
import type { Clock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";

/** An interface that is gone for longer will not come back soon: a driver that is loaded anew takes seconds. */
const GONE_MS = 10_000;

export interface EnvironmentParts {
  readonly wishes: InterfaceWishes;
  readonly config: NetworkConfig;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
}

/** What was chosen, and what carries the packets on it. */
interface Choice {
  readonly external: ChosenInterface;
  readonly backend: Backend;
}

/** Everything about the machine that the choice of the external interface depends on. @throws AgentError "kernel-refused" */
export async function askMachine({
  wishes,
  config,
  kernel,
}: Pick<EnvironmentParts, "wishes" | "config" | "kernel">): Promise<InterfaceQuestion> {
  const facts = await kernel.interfaces();
  const [reach] = wishes.canReach === "" ? [] : await kernel.routesTo([parseIp(wishes.canReach)]);
  return { wishes, config, ...facts, reach };
}

export class Environment {
  /** Set whenever it was looked at the machine, on a change or at a sweep: whoever keeps something else of it may look too. */
  readonly looks: Latest<undefined> = new Latest();
  readonly #parts: EnvironmentParts;
  /** Told of the backend for the interface as it is now, whenever that is another one. */
  readonly #moved: (backend: Backend) => void;
  #choice: Choice;
  #goneSinceMs: number | undefined;
  #said: ReadonlySet<string> = new Set();

  constructor(parts: EnvironmentParts, choice: Choice, moved: (backend: Backend) => void) {
    this.#parts = parts;
    this.#choice = choice;
    this.#moved = moved;
  }

  /** For the external interface as it was at the last look. */
  get backend(): Backend {
    return this.#choice.backend;
  }

  /**
   * Looks at the external interface. As long as something of it is missing, what it was before stands.
   * @returns whether it is, or lacks, something else than at the look before
   * @throws AgentError "kernel-refused"
   */
  async look(): Promise<boolean> {
    this.looks.set(undefined);
    const { external, problems } = this.#follow(await askMachine(this.#parts));
    if (isSame(external, this.#choice.external)) {
      this.#choice = { ...this.#choice, external };
      return this.#say(problems);
    }
    try {
      const backend = this.#choice.backend.onto(external);
      this.#choice = { external, backend };
      this.#say(problems);
      const { name, mtu, addresses, publicIps } = external;
      this.#parts.log.info(
        { interface: name, mtu, addresses, publicIps },
        "the external interface changed, following it",
      );
      this.#moved(backend);
      return true;
    } catch (error) {
      if (!(error instanceof AgentError && error.code === "config-invalid")) throw error;
      return this.#say([...problems, error.message]);
    }
  }

  #follow(question: InterfaceQuestion): Following {
    const following = followExternalInterface(this.#choice.external, question);
    const nowMs = this.#parts.clock.nowMs();
    this.#goneSinceMs = following.gone ? (this.#goneSinceMs ?? nowMs) : undefined;
    if (this.#goneSinceMs === undefined || nowMs - this.#goneSinceMs < GONE_MS) return following;
    try {
      return { external: chooseExternalInterface(question), gone: false, problems: [] };
    } catch (error) {
      if (!(error instanceof AgentError && error.code === "external-interface-not-found"))
        throw error;
      return following;
    }
  }

  /** Each problem once when it begins and once when it ends, however often it is seen. @returns whether there was one to tell of */
  #say(problems: readonly string[]): boolean {
    const { log } = this.#parts;
    const now = new Set(problems);
    const begun = problems.filter((problem) => !this.#said.has(problem));
    const ended = [...this.#said].filter((problem) => !now.has(problem));
    for (const problem of begun)
      log.warn({}, `${problem}: keeping data path and lease as they are until that changes`);
    for (const problem of ended) log.info({ was: problem }, "no longer so");
    this.#said = now;
    return begun.length + ended.length > 0;
  }
}

/** Whether a backend on the one is good for the other: the kernel's index may differ. */
function isSame(a: ChosenInterface, b: ChosenInterface): boolean {
  return (
    a.name === b.name &&
    a.mtu === b.mtu &&
    FAMILIES.every(
      (family) =>
        a.addresses[family] === b.addresses[family] && a.publicIps[family] === b.publicIps[family],
    )
  );
}
