/** What happens in one simulated world: its shape, and which faults strike when. Data only, so that it prints, replays and shrinks. */
import * as fc from "fast-check";

/** Every fault there is; which of them exist at all is drawn anew for each world (swarm testing). */
export const FAULT_KINDS = [
  "crash",
  "stop",
  "reboot",
  "pause",
  "wall-jump",
  "drift",
  "refuse",
  "silence",
  "store-refuse",
  "store-silence",
  "lose-replies",
  "lose-requests",
  "late-requests",
  "repeat-requests",
  "reset-connections",
  "expire-token",
  "progress",
  "lag",
  "lag-stale",
  "fail-over",
  "change-leader",
  "no-space",
  "compact",
  "compact-at-resume",
  "expire-lease",
  "delete-key",
  "overwrite",
  "poison-key",
  "poison-value",
  "reserve",
  "change-config",
  "backup",
  "restore",
  "restore-snapshot",
  "restore-snapshot-same-name",
  "swap-addresses",
  "replace-node",
  "remove-device",
  "remove-object",
  "alter-object",
  "tamper-unheard",
  "change-mtu",
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** The round it belongs to, from 0. */
  readonly round: number;
  /** From the start of its round. */
  readonly atSeconds: number;
  /** Which node, counted round. */
  readonly node: number;
  /** How long it lasts, where it lasts; it ends with its round at the latest. */
  readonly seconds: number;
  /** Chooses among variants: how many messages, which nonsense, which configuration. */
  readonly variant: number;
}

export type Framing = "whole" | "cut" | "pieces";

export interface Plan {
  readonly seed: number;
  readonly nodes: number;
  readonly backend: "vxlan" | "host-gw";
  readonly dualStack: boolean;
  /** Members of the `Backend` object beside `Type`. */
  readonly backendOptions?: Readonly<Record<string, unknown>>;
  /** How long a lease lives, and how long before its end it is renewed. */
  readonly ttlSeconds: number;
  readonly renewMarginMinutes: number;
  /** 1: everybody talks to the leader. 3: each node to one of three members, which may lag. */
  readonly members: 1 | 3;
  /** What watches say comes whole, cut by dice into responses of several revisions, or even revisions cut into fragments. */
  readonly framing: Framing;
  /** How many subnets there are: many, some more than nodes, fewer than nodes. */
  readonly range: "roomy" | "tight" | "scarce";
  readonly rounds: number;
  readonly faults: readonly Fault[];
}

/** A round is faults, then healing, then quiet. */
export const FAULT_SECONDS = 420;
export const QUIET_SECONDS = 180;
export const ROUND_SECONDS: number = FAULT_SECONDS + QUIET_SECONDS;

const MAX_FAULTS_PER_ROUND = 10;

export interface PlanLimits {
  /** Fewest and most nodes, both included. */
  readonly nodes: { readonly min: number; readonly max: number };
  readonly minutes: number;
}

/** Any plan within the limits. */
export function plans({ nodes, minutes }: PlanLimits): fc.Arbitrary<Plan> {
  const rounds = Math.max(1, Math.floor((minutes * 60) / ROUND_SECONDS));
  const shape = fc.record({
    seed: fc.nat(),
    nodes: fc.integer(nodes),
    backend: fc.constantFrom("vxlan" as const, "host-gw" as const),
    dualStack: fc.boolean(),
    members: fc.constantFrom(1 as const, 3 as const),
    framing: fc.constantFrom("whole" as const, "cut" as const, "pieces" as const),
    lifetime: fc.constantFrom(
      { ttlSeconds: 120, renewMarginMinutes: 1 },
      { ttlSeconds: 300, renewMarginMinutes: 2 },
      { ttlSeconds: 86_400, renewMarginMinutes: 60 },
    ),
    range: fc.constantFrom("roomy" as const, "tight" as const, "scarce" as const),
  });
  return fc
    .tuple(shape, fc.subarray([...FAULT_KINDS], { minLength: 1 }))
    .chain(([{ lifetime, ...rest }, kinds]) =>
      faults(kinds, rounds).map((list) => ({ ...rest, ...lifetime, rounds, faults: list })),
    );
}

function faults(kinds: readonly FaultKind[], rounds: number): fc.Arbitrary<readonly Fault[]> {
  const fault = fc.record({
    kind: fc.constantFrom(...kinds),
    round: fc.nat({ max: rounds - 1 }),
    atSeconds: fc.integer({ min: 0, max: FAULT_SECONDS - 1 }),
    node: fc.nat({ max: 9 }),
    seconds: fc.oneof(fc.integer({ min: 1, max: 15 }), fc.integer({ min: 15, max: 400 })),
    variant: fc.nat({ max: 255 }),
  });
  return fc.array(fault, { maxLength: MAX_FAULTS_PER_ROUND * rounds, size: "max" });
}

/** The plan of one seed: always the same. */
export function planOfSeed(seed: number, limits: PlanLimits): Plan {
  // The first value of a sample would be biased towards few faults.
  const [plan] = fc.sample(fc.noBias(plans(limits)), { seed, numRuns: 1 });
  if (plan === undefined) throw new Error(`no plan for seed ${seed}`);
  // The dice of the world itself come from the seed too.
  return { ...plan, seed };
}
