import type { FaultRequest } from "../lab.ts";
import { type FaultMark, markOf } from "./fault-marks.ts";
import type { StageNews } from "./run-watch.ts";

interface StagedFault {
  readonly mark: FaultMark;
  readonly host: string | undefined;
  /** The allowance of gaps that is open for it. */
  allowance?: string;
}

/** Says to the checks of a run what the faults of its lab excuse, and until when. */
export class FaultStage {
  readonly #stage: (what: StageNews) => void;
  readonly #faults: Map<string, StagedFault> = new Map();
  #allowances = 0;

  constructor(stage: (what: StageNews) => void) {
    this.#stage = stage;
  }

  /** Before it is injected. */
  begins(id: string, request: FaultRequest): void {
    const mark = markOf(request);
    if (mark.lasts === "no-time") {
      return;
    }
    this.#faults.set(id, { mark, host: mark.everywhere === true ? undefined : request.host });
    this.#strike(id);
  }

  /** Its effect was seen, or nobody saw one in its time. */
  struck(id: string): void {
    const fault = this.#faults.get(id);
    if (fault?.mark.lasts === "moment") {
      this.#endGaps(fault);
      // Who saw it and who judges it read the kernel's events each for himself.
      const echo = fault.host === undefined ? {} : { echo: true as const };
      this.#stage({ kind: "fault-ended", fault: id, ...resyncOf(fault), ...echo });
    }
  }

  /** Before the lab undoes it. */
  healBegins(id: string): void {
    this.#strike(id);
  }

  /** Its end was seen. */
  ended(id: string): void {
    const fault = this.#faults.get(id);
    if (fault !== undefined) {
      this.#faults.delete(id);
      this.#endGaps(fault);
      this.#stage({ kind: "fault-ended", fault: id, ...resyncOf(fault) });
    }
  }

  agentStarted(host: string): void {
    for (const [id, { mark, host: struck }] of this.#faults) {
      if (mark.lasts === "agent-start" && struck === host) {
        this.#stage({ kind: "fault-ended", fault: id });
      }
    }
  }

  #strike(id: string): void {
    const fault = this.#faults.get(id);
    if (fault !== undefined) {
      const deaf = fault.mark.deaf === true ? { deaf: true as const } : {};
      this.#stage({ kind: "fault-began", fault: id, ...deaf, ...ofHost(fault) });
      this.#beginGaps(fault);
    }
  }

  #beginGaps(fault: StagedFault): void {
    const { gap } = fault.mark;
    if (gap !== undefined && fault.allowance === undefined) {
      fault.allowance = this.#nextAllowance();
      const { allowance } = fault;
      this.#stage({ kind: "gaps-allowed", allowance, ...gap, ...ofHost(fault) });
    }
  }

  /** From now on the agents have the time of a gap to put things right. */
  #endGaps(fault: StagedFault): void {
    const { mark, allowance } = fault;
    if (mark.gap !== undefined && allowance !== undefined) {
      const { maxGapMs, onceHeard } = mark.gap;
      const heard = onceHeard === undefined ? {} : { onceHeard };
      const after = { maxGapMs, ...heard, forMs: maxGapMs, ...ofHost(fault) };
      delete fault.allowance;
      this.#stage({ kind: "allowance-ended", allowance });
      this.#stage({ kind: "gaps-allowed", allowance: this.#nextAllowance(), ...after });
    }
  }

  #nextAllowance(): string {
    this.#allowances += 1;
    return `fault ${this.#allowances}`;
  }
}

function resyncOf({ mark: { resyncMs } }: StagedFault): { readonly resyncMs?: number } {
  return resyncMs === undefined ? {} : { resyncMs };
}

function ofHost({ host }: StagedFault): { readonly host?: string } {
  return host === undefined ? {} : { host };
}
