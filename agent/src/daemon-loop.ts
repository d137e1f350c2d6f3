/** The one loop that writes to the kernel, and what wakes it. */
import { AgentError } from "./core/errors.ts";
import type { Cidr } from "./core/ip.ts";
import type { Lease } from "./core/lease.ts";
import type { Backend, Plan, PlanInput } from "./backends/backend.ts";
import type { Kernel, RouteLookup } from "./kernel/kernel.ts";
import { reconcile } from "./kernel/reconcile.ts";
import type { Clock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";
import { together } from "./together.ts";

/** Drift that no kernel event told of is found this often (invariant D11). */
const SWEEP_MS = 10_000;
/** Kernel events come in bursts, our own changes among them: look once per burst. */
const KERNEL_EVENT_DELAY_MS = 100;
/** After a pass in which the kernel refused something; also the delay of kernel events then, which may be echoes of the attempt. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 10_000;

export interface Reconciler {
  /** The peers to program from now on; the own lease is not among them. */
  setPeers(peers: readonly Lease[]): void;
  /** One pass now. Resolves to what the kernel refused. @throws AgentError "kernel-refused" when nothing could be read or sent */
  pass(): Promise<readonly Error[]>;
  /** Passes on every lease change, kernel event and sweep, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

interface Parts {
  readonly backend: Backend;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  /** Undefined before the lease: only the device is made. */
  own(): Lease | undefined;
  /** Networks of the configuration before this one: what is ours inside them is left over, and goes (invariant D1). */
  readonly previousNetworks: readonly Cidr[];
}

export function openReconciler(parts: Parts): Reconciler {
  const complaints = new Complaints(parts.log);
  let peers: readonly Lease[] = [];
  let wake: () => void = () => undefined;
  let dirty = false;
  let failed = false;
  let last: { readonly input: PlanInput; readonly plan: Plan } | undefined;
  const look = (): void => {
    dirty = true;
    wake();
  };

  /** Backends plan values from values: as long as nothing it depends on is new, the plan is the one before. */
  function planFor(input: PlanInput): Plan {
    if (last !== undefined && isSameInput(last.input, input)) return last.plan;
    const plan = parts.backend.plan(input);
    const networks = [...new Set([...plan.scope.networks, ...parts.previousNetworks])];
    last = { input, plan: { ...plan, scope: { ...plan.scope, networks } } };
    return last.plan;
  }

  async function pass(): Promise<readonly Error[]> {
    dirty = false;
    const input = await gather(parts, peers);
    const plan = planFor(input);
    const report = await reconcile(parts.kernel, plan);
    if (report.changes.length > 0)
      parts.log.info(
        { changes: report.changes.length, refused: report.failures.length },
        "reconciled",
      );
    complaints.update([
      ...plan.rejected.map(({ peer, reason }) => `skipping peer ${describe(peer)}: ${reason}`),
      ...report.failures.map((failure) => failure.error.message),
    ]);
    return report.failures.map((failure) => failure.error);
  }

  /** Resolves at the next reason to look, or after `ms`. */
  async function rest(ms: number, signal: AbortSignal): Promise<void> {
    if (dirty) return;
    const stop = new AbortController();
    const woken = new Promise<void>((resolve) => (wake = resolve));
    const timer = parts.clock.sleep(ms, AbortSignal.any([signal, stop.signal]));
    await Promise.race([woken, timer.catch(() => undefined)]);
    stop.abort();
    signal.throwIfAborted();
  }

  async function loop(signal: AbortSignal): Promise<void> {
    let retryMs = RETRY_MS_MIN;
    for (;;) {
      await rest(failed ? retryMs : SWEEP_MS, signal);
      failed = !(await tryPass(pass, complaints));
      retryMs = failed ? Math.min(retryMs * 2, RETRY_MS_MAX) : RETRY_MS_MIN;
    }
  }

  return {
    setPeers(next) {
      peers = next;
      look();
    },
    pass,
    async run(signal) {
      const delayMs = (): number => (failed ? RETRY_MS_MIN : KERNEL_EVENT_DELAY_MS);
      await together(signal, [loop, (stop) => watchKernel(parts, { look, delayMs }, stop)]);
    },
  };
}

/** A kernel that cannot be read at all is a reason to try again, not to end: the data path stands meanwhile. */
async function tryPass(
  pass: () => Promise<readonly Error[]>,
  complaints: Complaints,
): Promise<boolean> {
  try {
    return (await pass()).length === 0;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    complaints.update([error.message]);
    return false;
  }
}

async function gather(parts: Parts, peers: readonly Lease[]): Promise<PlanInput> {
  const wanted = parts.backend.lookups(peers);
  const answers = wanted.length === 0 ? [] : await parts.kernel.routesTo(wanted);
  const routes = new Map(
    answers.flatMap((answer): [RouteLookup["destination"], RouteLookup][] =>
      answer === undefined ? [] : [[answer.destination, answer]],
    ),
  );
  return { own: parts.own(), peers, routes };
}

/** Routes are looked up anew for each pass, so with any of them the input counts as another. */
function isSameInput(a: PlanInput, b: PlanInput): boolean {
  return a.own === b.own && a.peers === b.peers && a.routes.size === 0 && b.routes.size === 0;
}

async function watchKernel(
  parts: Parts,
  { look, delayMs }: { readonly look: () => void; readonly delayMs: () => number },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const event of parts.kernel.watch(signal)) {
        if (event.kind === "overrun")
          parts.log.warn({}, "kernel events were lost, looking at everything");
        await parts.clock.sleep(delayMs(), signal);
        look();
      }
    } catch (error) {
      if (signal.aborted) break;
      parts.log.warn({ err: error }, "kernel events ended, subscribing again");
    }
    if (signal.aborted) break;
    await parts.clock.sleep(RETRY_MS_MIN, signal);
    look();
  }
  signal.throwIfAborted();
}

/** Says each complaint once when it begins and once when it ends, however many passes repeat it. */
class Complaints {
  readonly #log: Log;
  #current: ReadonlySet<string> = new Set();

  constructor(log: Log) {
    this.#log = log;
  }

  update(messages: readonly string[]): void {
    const next = new Set(messages);
    for (const message of next) if (!this.#current.has(message)) this.#log.warn({}, message);
    for (const message of this.#current)
      if (!next.has(message)) this.#log.info({ was: message }, "no longer so");
    this.#current = next;
  }
}

function describe(peer: Lease): string {
  const subnets = [peer.subnets[4], peer.subnets[6]].filter((subnet) => subnet !== undefined);
  const publicIps = [peer.publicIps[4], peer.publicIps[6]].filter((ip) => ip !== undefined);
  return `${subnets.join(" ")} of ${publicIps.length === 0 ? "nobody" : publicIps.join(" ")}`;
}
