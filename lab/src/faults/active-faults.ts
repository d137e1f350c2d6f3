import type { Chronicle } from "../chronicle.ts";
import { demandFaultNeed } from "../doctor.ts";
import { LabError, messageOf } from "../errors.ts";
import type { FaultReport, FaultRequest, HealReport, RepairReport } from "../lab.ts";
import { isLasting, type KernelWitness } from "../observe/kernel-witness.ts";
import { type Clock, deadlineIn, poll } from "../system/clock.ts";
import type { AnyFault, FaultNeed, FaultSite, Sighting } from "./fault.ts";
import { faultNamed } from "./registry.ts";
import { checkFaultRequest, formatRequest } from "./request.ts";

const LOOK_EVERY_MS = 5;
/** Nothing was done that could take time to be seen. */
const PRETEND_LIMIT_MS = 200;

/** Is told what the lab does to its hosts and its store, before and after. */
export interface FaultObserver {
  faultBegins(id: string, request: FaultRequest): void;
  /** Its effect was seen, or nobody saw one in its time. */
  faultStruck(id: string): void;
  healBegins(id: string): void;
  /** Its end was seen, or it was undone at once. */
  faultEnded(id: string): void;
}

/** What a lab lends to its faults. */
export interface FaultGround {
  readonly clock: Clock;
  /** @throws LabError for a host that is not there */
  site(request: FaultRequest, id: string, sinceMs: number): FaultSite;
  /** Opens the witnesses that are not there yet: those of the struck host, and of all in a small lab. */
  witnesses(host: string | undefined): Promise<readonly KernelWitness[]>;
  readonly chronicle: Chronicle;
  readonly record: (event: string, data: Readonly<Record<string, unknown>>) => void;
  readonly observer: FaultObserver | undefined;
}

interface Active {
  readonly id: string;
  readonly request: FaultRequest;
  readonly fault: AnyFault;
  readonly site: FaultSite;
  readonly target: unknown;
  readonly effect: Sighting | undefined;
  /** When the effect was there: as its witness says, or when it was looked at. */
  readonly effectMs: number;
  readonly expiry: AbortController;
  readonly endsMs: number | undefined;
}

/** The faults that are on in a lab: each injected, looked at, and healed when told or when its time is over. */
export class ActiveFaults {
  readonly #ground: FaultGround;
  readonly #active: Map<string, Active> = new Map();
  /** The last one, on or healed: repairs are measured from its effect. */
  #last: Active | undefined;
  #count = 0;
  /** Looked for once each: a kernel does not lose what it can. */
  readonly #needsMet: Set<FaultNeed> = new Set();

  constructor(ground: FaultGround) {
    this.#ground = ground;
  }

  /**
   * Injects a fault and waits until its effect was seen, or its time limit is over: then the report has no `saw`.
   * @throws LabError "usage" for a bad request, "requirement-missing" for what this machine cannot do, "wrong-state" where
   * there is nothing to hit, or what injecting threw
   */
  async inject(asked: FaultRequest): Promise<FaultReport> {
    const request = checkFaultRequest(asked);
    const fault = faultNamed(request.fault);
    if (fault.needs !== undefined && !this.#needsMet.has(fault.needs)) {
      await demandFaultNeed(fault.needs);
      this.#needsMet.add(fault.needs);
    }
    this.#count += 1;
    const id = `f${this.#count}`;
    const { clock } = this.#ground;
    await this.#ground.witnesses(request.host);
    const target = await fault.aim(this.#ground.site(request, id, clock.nowMs()), request);
    const site = this.#ground.site(request, id, clock.nowMs());
    const { forMs, pretend = false } = request;
    this.#ground.chronicle.add({
      type: "fault-injected",
      fault: id,
      name: request.fault,
      target: formatRequest(request).slice(request.fault.length).trim() || `the ${fault.place}`,
    });
    const look = (): Promise<Sighting | undefined> => {
      const deadline = deadlineIn(clock, pretend ? PRETEND_LIMIT_MS : fault.timeLimitMs);
      return poll(clock, { everyMs: LOOK_EVERY_MS, deadline }, () => fault.verify(site, target));
    };
    const effect = pretend
      ? await look()
      : await this.#strike(id, request, () =>
          orUndo(fault, site, target, async () => {
            await fault.inject(site, target);
            return look();
          }),
        );
    const nowMs = clock.nowMs();
    const active: Active = {
      id,
      request,
      fault,
      site,
      target,
      effect,
      effectMs: effect?.atMs ?? nowMs,
      expiry: new AbortController(),
      endsMs: forMs === undefined ? undefined : nowMs + forMs,
    };
    if (pretend) {
      return this.#report(active);
    }
    this.#ground.observer?.faultStruck(id);
    this.#active.set(id, active);
    this.#last = active;
    this.#ground.record("fault", { id, fault: formatRequest(request), saw: effect?.saw ?? null });
    if (forMs !== undefined) {
      void this.#expire(active, forMs);
    }
    return this.#report(active);
  }

  /** The faults that are on. With `look` each is verified anew, at this moment. */
  async list(options: { readonly look?: boolean }): Promise<readonly FaultReport[]> {
    const reports: FaultReport[] = [];
    for (const active of this.#active.values()) {
      const effect =
        options.look === true
          ? await active.fault.verify(active.site, active.target)
          : active.effect;
      reports.push(this.#report({ ...active, effect }));
    }
    return reports;
  }

  /**
   * Ends one fault, or all, the youngest first. A report without `saw` is of one whose end nobody saw; it stays on.
   * @throws LabError "usage" for an id that is not on
   */
  async heal(id?: string): Promise<readonly HealReport[]> {
    const named = id === undefined ? undefined : this.#active.get(id);
    if (id !== undefined && named === undefined) {
      const known = [...this.#active.keys()].join(", ") || "none";
      throw new LabError("usage", `there is no fault ${id}; on are ${known}`);
    }
    const chosen = named === undefined ? [...this.#active.values()].toReversed() : [named];
    // All are ended before the first is looked at: one that is still on may hide that another is over.
    const errors = new Map<Active, LabError | undefined>();
    for (const active of chosen) {
      errors.set(active, await this.#end(active));
    }
    const reports: HealReport[] = [];
    for (const [active, error] of errors) {
      reports.push(await this.#confirm(active, error));
    }
    return reports;
  }

  /** What kernels did since the effect of the last fault. @throws LabError "wrong-state" when there was none */
  async repairs(): Promise<RepairReport> {
    const last = this.#last;
    if (last?.effect === undefined) {
      throw new LabError("wrong-state", "there was no fault whose effect was seen");
    }
    const witnesses = await this.#ground.witnesses(last.request.host);
    const changes = witnesses.flatMap((one) => one.changesSince(last.effectMs).filter(isLasting));
    const complete =
      witnesses.every(({ trouble }) => trouble === undefined) &&
      changes.every(({ event }) => event.kind !== "overrun");
    return {
      fault: formatRequest(last.request),
      elapsedMs: this.#ground.clock.nowMs() - last.effectMs,
      changesMs: changes.map(({ atMs }) => atMs - last.effectMs).toSorted((a, b) => a - b),
      complete,
    };
  }

  async #strike<Effect>(
    id: string,
    request: FaultRequest,
    inject: () => Promise<Effect>,
  ): Promise<Effect> {
    this.#ground.observer?.faultBegins(id, request);
    try {
      return await inject();
    } catch (error) {
      this.#ground.observer?.faultEnded(id);
      throw error;
    }
  }

  async #heal(active: Active): Promise<HealReport> {
    return this.#confirm(active, await this.#end(active));
  }

  /** Returns why it could not be done. */
  async #end({ id, fault, site, target, expiry }: Active): Promise<LabError | undefined> {
    expiry.abort();
    this.#ground.observer?.healBegins(id);
    return errorOf(async () => fault.heal(site, target));
  }

  /** Looks until somebody sees that a fault is over. */
  async #confirm(active: Active, error: LabError | undefined): Promise<HealReport> {
    const { id, fault, site, target, request } = active;
    const about = { id, text: formatRequest(request) };
    const deadline = deadlineIn(this.#ground.clock, fault.timeLimitMs);
    let end: Sighting | undefined;
    const trouble =
      error ??
      (await errorOf(async () => {
        end = await poll(this.#ground.clock, { everyMs: LOOK_EVERY_MS, deadline }, () =>
          fault.verifyHealed(site, target),
        );
      }));
    if (trouble !== undefined) {
      return this.#healTrouble(active, about, trouble);
    }
    if (end !== undefined) {
      this.#active.delete(id);
      this.#ground.observer?.faultEnded(id);
    }
    this.#ground.record("healed", { ...about, saw: end?.saw ?? null });
    return end === undefined
      ? { ...about, trouble: "nobody saw that it is over" }
      : { ...about, saw: end.saw };
  }

  /** A host that is gone has no faults any more. */
  #healTrouble(
    { id }: Active,
    about: { readonly id: string; readonly text: string },
    error: LabError,
  ): HealReport {
    if (error.code === "unknown-host") {
      this.#active.delete(id);
      this.#ground.observer?.faultEnded(id);
      return { ...about, saw: "its host is gone" };
    }
    this.#ground.record("not healed", { ...about, trouble: error.message });
    return { ...about, trouble: error.message };
  }

  async #expire(active: Active, forMs: number): Promise<void> {
    await this.#ground.clock.sleep(forMs, active.expiry.signal);
    if (!active.expiry.signal.aborted) {
      const { id: fault, saw } = await this.#heal(active);
      const seen = saw === undefined ? {} : { saw };
      this.#ground.chronicle.add({ type: "fault-expired", fault, ...seen });
    }
  }

  #report({ id, request, effect, endsMs }: Active): FaultReport {
    return {
      id,
      text: formatRequest(request),
      fault: request.fault,
      ...(request.host === undefined ? {} : { host: request.host }),
      ...(effect === undefined ? {} : { saw: effect.saw }),
      ...(endsMs === undefined
        ? {}
        : { remainingMs: Math.max(0, Math.round(endsMs - this.#ground.clock.nowMs())) }),
    };
  }
}

/** What went wrong, unless it is no error of the lab. */
async function errorOf(work: () => Promise<void>): Promise<LabError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof LabError) {
      return error;
    }
    throw error;
  }
}

/** What was half done, or could not be looked at, is undone before the error goes on. */
async function orUndo<Effect>(
  fault: AnyFault,
  site: FaultSite,
  target: unknown,
  strike: () => Promise<Effect>,
): Promise<Effect> {
  try {
    return await strike();
  } catch (error) {
    const second = await errorOf(async () => fault.heal(site, target));
    // A host that is gone has no faults any more.
    if (second !== undefined && second.code !== "unknown-host") {
      throw new LabError(
        "lab-broke",
        `${messageOf(error)}; and it could not be undone: ${second.message}`,
        {
          cause: error,
        },
      );
    }
    throw error;
  }
}
