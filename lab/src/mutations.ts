/**
 * Known bugs, those of the data plane and some of leases, switched on in this repository's agent by a program that is started like any other. Each has a
 * scenario that must fail for it, and for the right reason: that is how the lab's own checks are tested.
 */
import { fileURLToPath } from "node:url";
import type { ParsedFlags } from "./commands/flags.ts";
import { LabError } from "./errors.ts";
import type { Story } from "./report/story.ts";
import type { Expectation, Scenario, Variant } from "./scenario.ts";
import { fileExists } from "./system/files.ts";
import { nodeProgram } from "./system/machine.ts";
import { formatTable } from "./table.ts";
import { joinWords } from "./words.ts";

export interface LabMutation {
  /** As the mutated agent knows it. */
  readonly name: string;
  readonly scenario: string;
  /** The first variant of the scenario with these is played. */
  readonly backend: string;
  readonly family: Variant["family"];
  /** It is caught when one of these is violated or not met: what else goes wrong proves nothing. */
  readonly caughtBy: readonly (Expectation | InvariantId)[];
}

/** Of those that the lab watches. */
type InvariantId =
  | "A3"
  | "A4"
  | "A8"
  | "A9"
  | "B1"
  | "B3'"
  | "B6"
  | "C3"
  | "D1"
  | "D2"
  | "D3"
  | "D5"
  | "D8"
  | "D9"
  | "D10"
  | "D11"
  | "E5";

// One line each, so that the list reads as the table it is.
// oxfmt-ignore
export const LAB_MUTATIONS: readonly LabMutation[] = [
  { name: "ignores-routes-left-behind", scenario: "leftovers-go-at-start", backend: "vxlan", family: "dual", caughtBy: ["kernel-equals-leases", "D1"] },
  { name: "keeps-an-old-mac", scenario: "foreign-owner-takes-lease", backend: "vxlan", family: "dual", caughtBy: ["kernel-equals-leases", "D1"] },
  { name: "removes-a-route-of-others", scenario: "foreign-objects-stay", backend: "host-gw", family: "v4", caughtBy: ["foreign-objects-stay", "D2"] },
  { name: "puts-routes-first", scenario: "pods-reach-each-other", backend: "vxlan", family: "v4", caughtBy: ["D3"] },
  { name: "programs-late", scenario: "node-joins-and-leaves", backend: "vxlan", family: "v4", caughtBy: ["kernel-equals-leases", "D1"] },
  { name: "passes-peers-on-late", scenario: "node-joins-and-leaves", backend: "host-gw", family: "v4", caughtBy: ["kernel-equals-leases", "D1"] },
  { name: "a-bad-event-withdraws-all", scenario: "poison-keys-change-nothing", backend: "host-gw", family: "v4", caughtBy: ["kernel-equals-leases", "pods-reach-each-other", "no-packet-lost", "D1", "D5"] },
  { name: "sends-to-the-wrong-node", scenario: "pods-reach-each-other", backend: "vxlan", family: "v4", caughtBy: ["pods-reach-each-other", "D1"] },
  { name: "publishes-a-former-address", scenario: "pods-reach-each-other", backend: "vxlan", family: "dual", caughtBy: ["pods-reach-each-other"] },
  { name: "writes-subnet-env-once", scenario: "mtu-changes", backend: "vxlan", family: "dual", caughtBy: ["largest-packet-is-mtu", "D8"] },
  { name: "takes-the-overhead-off-twice", scenario: "largest-packet", backend: "vxlan", family: "dual", caughtBy: ["largest-packet-is-mtu", "D8"] },
  { name: "programs-the-own-lease", scenario: "pods-reach-each-other", backend: "host-gw", family: "v4", caughtBy: ["D9", "pods-reach-each-other"] },
  { name: "a-new-device-has-a-new-mac", scenario: "vxlan-device-comes-back", backend: "vxlan", family: "dual", caughtBy: ["repaired", "D1", "D10"] },
  { name: "a-new-device-has-no-peers", scenario: "vxlan-device-comes-back", backend: "vxlan", family: "dual", caughtBy: ["repaired", "D1", "D10"] },
  { name: "deaf-to-kernel-events", scenario: "vxlan-objects-come-back", backend: "vxlan", family: "dual", caughtBy: ["repaired", "D1", "D11"] },
  { name: "overlooks-altered-objects", scenario: "vxlan-objects-come-back", backend: "vxlan", family: "dual", caughtBy: ["repaired", "D1", "D11"] },
  { name: "a-watch-is-stuck-on-compaction", scenario: "store-compacts-often", backend: "vxlan", family: "dual", caughtBy: ["kernel-equals-leases", "pods-reach-each-other", "D1"] },
  { name: "relists-without-pause", scenario: "store-compacts-often", backend: "vxlan", family: "dual", caughtBy: ["C3"] },
  { name: "a-relist-misses-new-attributes", scenario: "peer-changes-unheard", backend: "vxlan", family: "dual", caughtBy: ["pods-reach-each-other", "kernel-equals-leases", "D1"] },
  { name: "renews-unconditionally", scenario: "agent-restart-keeps-subnet", backend: "vxlan", family: "dual", caughtBy: ["A4", "B3'", "B6"] },
  { name: "overlooks-its-own-key", scenario: "host-reboots", backend: "vxlan", family: "dual", caughtBy: ["subnets-are-kept", "A3"] },
  { name: "never-takes-a-lost-key-again", scenario: "lease-is-removed", backend: "vxlan", family: "dual", caughtBy: ["subnets-are-kept", "B1"] },
  { name: "deaf-to-its-own-key", scenario: "lease-is-removed", backend: "vxlan", family: "dual", caughtBy: ["subnets-are-kept", "B1"] },
  { name: "asks-without-pause", scenario: "connections-are-reset", backend: "vxlan", family: "dual", caughtBy: ["C3", "E5"] },
  { name: "keeps-the-key-it-replaces", scenario: "network-is-renumbered", backend: "vxlan", family: "v4", caughtBy: ["A3"] },
  { name: "a-lost-race-ends-the-agent", scenario: "fifty-join-at-once", backend: "vxlan", family: "v4", caughtBy: ["A8"] },
  { name: "a-reservation-becomes-a-lease", scenario: "subnet-is-reserved", backend: "vxlan", family: "dual", caughtBy: ["A9"] },
];

const TAKES_A_LEASE = "does harm only when a lease is renewed or runs out, after a day in the lab";
const STAYS_INSIDE =
  "is wrong inside the agent only: a backend passes over the own subnet, so that no kernel shows it";
const SELDOM = "does harm only where two nodes draw one subnet at once, of the lab's 255";

/** Mutations that only the simulated world can catch, and why. */
export const SIMULATED_ONLY: Readonly<Record<string, string>> = {
  "guards-the-exact-key-only": SELDOM,
  "has-no-condition-over-all-leases": SELDOM,
  "revokes-after-a-lost-reply":
    "does harm only where a reply is lost whose request was carried out, and no fault of the lab comes between the two",
  "is-ready-without-its-key":
    "shows in /readyz alone, which an agent of the lab need not have: nothing else of it is wrong",
  "a-failed-list-is-empty":
    "does harm only when the list that a compaction asks for is the one that fails",
  "a-relist-shows-the-own-subnet-as-a-peer-s": STAYS_INSIDE,
  "a-relist-forgets-which-lease-is-the-own-one": STAYS_INSIDE,
  "stops-renewing-after-a-failure": TAKES_A_LEASE,
  "never-gives-a-lease-back": TAKES_A_LEASE,
  "forces-a-renewal-refused-after-a-pause": TAKES_A_LEASE,
  "trusts-timers-after-a-pause": TAKES_A_LEASE,
  "goes-by-the-wall-clock": TAKES_A_LEASE,
  "counts-dead-leases": TAKES_A_LEASE,
  "trusts-the-last-dump":
    "does harm only where a kernel keeps a change to itself, and no real one does",
};

/** Several times what `up` takes without a mutation. */
const MUTANT_TIMEOUT_SECONDS = 20;

export const MUTANT_PROGRAM: string = fileURLToPath(
  new URL("../../property-tests/src/mutations/mutant-flanneld.ts", import.meta.url),
);

/** A scenario with those of its variants that are played. */
interface Runs {
  readonly scenario: Scenario;
  readonly variants: readonly Variant[];
}

/** A mutation with the runs that are to show it. */
export interface Mutant {
  readonly mutation: LabMutation;
  readonly runs: readonly Runs[];
  /** The mutated agent, as a command line. */
  readonly flanneld: string;
  /** For `up`, which some mutations keep from its end. */
  readonly timeoutSeconds: number;
}

/**
 * What `--mutation` asks for: the scenario that is to catch each, or one mutation with the scenarios that are named. Undefined
 * without the flag.
 * @throws LabError "usage"
 */
export function chooseMutants(
  scenarios: readonly Scenario[],
  flags: ParsedFlags,
  chooseNamed: (scenarios: readonly Scenario[], flags: ParsedFlags) => readonly Runs[],
  program: string = MUTANT_PROGRAM,
): readonly Mutant[] | undefined {
  const word = flags.text("mutation");
  if (word === undefined) {
    return undefined;
  }
  const mutations = findMutations(word);
  const isNamed = flags.positionals.length > 0;
  // The table says which variant is to catch a mutation.
  const unfit = ["flanneld", ...(isNamed ? [] : ["backend", "family"])]
    .filter((flag) => flags.texts(flag).length > 0)
    .map((flag) => `--${flag}`);
  const [what] = [...unfit, ...(isNamed && mutations.length > 1 ? flags.positionals : [])];
  if (what !== undefined) {
    throw new LabError("usage", `lab run: --mutation ${word} does not go with ${what}`);
  }
  return mutations.map((mutation) => ({
    mutation,
    runs: isNamed ? chooseNamed(scenarios, flags) : [runOf(mutation, scenarios)],
    flanneld: mutantCommand(mutation, program),
    timeoutSeconds: MUTANT_TIMEOUT_SECONDS,
  }));
}

/** All, or the one of that name. @throws LabError "usage" */
function findMutations(word: string): readonly LabMutation[] {
  const found = LAB_MUTATIONS.filter(({ name }) => word === "all" || name === word);
  if (found.length > 0) {
    return found;
  }
  const why = SIMULATED_ONLY[word];
  throw new LabError(
    "usage",
    why === undefined
      ? `lab run: there is no mutation "${word}"; --mutation list prints them`
      : `lab run: the mutation "${word}" ${why}: it is caught in the simulated world only`,
  );
}

/** The scenario that is to catch a mutation, with the one variant of it. @throws LabError "usage" when it is not there */
function runOf({ scenario: name, backend, family }: LabMutation, all: readonly Scenario[]): Runs {
  const scenario = all.find((one) => one.name === name);
  const variant = scenario?.variants.find(
    (one) => one.backend === backend && one.family === family,
  );
  if (scenario === undefined || variant === undefined) {
    throw new LabError(
      "usage",
      `lab run: there is no scenario "${name}" with ${backend} ${family}`,
    );
  }
  return { scenario, variants: [variant] };
}

/** @throws LabError "usage" where the program is not there */
function mutantCommand({ name }: LabMutation, program: string): string {
  if (!fileExists(program)) {
    throw new LabError("usage", `lab run: --mutation needs ${program}, which is not there`);
  }
  return joinWords([nodeProgram(), program, name]);
}

/** What came of a mutation, in the run that says most. */
export interface MutationOutcome {
  readonly mutation: string;
  /** Survived: the run passed, or failed for nothing that the mutation is to be caught by. Unknown: nothing was learned. */
  readonly fate: "caught" | "unknown" | "survived";
  /** The title and length of the run. */
  readonly run: string;
  /** What it was caught by; of one that was not, what the run came to. */
  readonly by: readonly string[];
}

/** What a set-up says whose pods do not reach each other: the expectation that every scenario starts from. */
const PODS_APART = /pod pairs do not reach each other$/;

/** Of several runs one that caught it is enough. */
export function outcomeOf(mutation: LabMutation, stories: readonly Story[]): MutationOutcome {
  const runs = stories.map((story) => outcomeOfRun(mutation, story));
  const [first] = (["caught", "unknown", "survived"] as const).flatMap((fate) =>
    runs.filter((run) => run.fate === fate),
  );
  return first ?? { mutation: mutation.name, fate: "unknown", run: "no run", by: [] };
}

function outcomeOfRun({ name: mutation, caughtBy }: LabMutation, story: Story): MutationOutcome {
  const run = describeRun(story);
  const failed = failuresOf(story);
  const by = caughtBy.filter((one) => failed.includes(one));
  if (by.length > 0) {
    return { mutation, fate: "caught", run, by };
  }
  const { verdict } = story.judgement;
  const fate = verdict === "unknown" ? "unknown" : "survived";
  return { mutation, fate, run, by: [verdict, ...failed] };
}

function describeRun({ started, endMs }: Story): string {
  const seconds = (endMs / 1000).toFixed(1);
  return started === undefined
    ? "a run that did not start"
    : `${started.scenario.name} (${started.variant.text}) ${seconds} s`;
}

/** Expectations not met and invariants violated, in the order of the run. */
function failuresOf({ steps, violations, broke }: Story): readonly string[] {
  const isApart = broke?.phase === "set-up" && PODS_APART.test(broke.message);
  const unmet = steps
    .filter(({ facts, end }) => facts.kind === "expect" && end?.verdict === "fail")
    .map(({ facts }) => facts.text.replace(/^expect /u, ""));
  const apart: readonly Expectation[] = isApart ? ["pods-reach-each-other"] : [];
  return [...new Set([...apart, ...unmet, ...violations.map(({ id }) => id)])];
}

/** `mutation keeps-an-old-mac caught by D1 in foreign-owner-takes-lease (vxlan dual, 1 segment) 9.1 s` */
export function formatOutcome({ mutation, fate, run, by }: MutationOutcome): string {
  const words = fate === "caught" ? `caught by ${by.join(", ")}` : `${fate}: ${by.join(", ")}`;
  return `mutation ${mutation} ${words} in ${run}\n`;
}

export function formatOutcomes(outcomes: readonly MutationOutcome[]): string {
  const count = (fate: MutationOutcome["fate"]): string =>
    `${outcomes.filter((outcome) => outcome.fate === fate).length} ${fate}`;
  const rows = outcomes.map(({ mutation, fate, run, by }) => [mutation, fate, by.join(", "), run]);
  return `${formatTable([["MUTATION", "FATE", "BY", "IN"], ...rows])}${count("caught")}, ${count("survived")}, ${count("unknown")}\n`;
}

const [EXIT_CAUGHT, EXIT_SURVIVED, EXIT_UNKNOWN] = [0, 1, 2];

/** 0 when each was caught, 1 when one survived, else 2. */
export function exitCodeOfOutcomes(outcomes: readonly MutationOutcome[]): number {
  const fates = outcomes.map(({ fate }) => fate);
  if (fates.includes("survived")) {
    return EXIT_SURVIVED;
  }
  return fates.length === 0 || fates.includes("unknown") ? EXIT_UNKNOWN : EXIT_CAUGHT;
}

/** What `--mutation list` prints. */
export function formatMutations(): string {
  const rows = LAB_MUTATIONS.map(({ name, scenario, backend, family, caughtBy }) => [
    name,
    `${scenario} (${backend} ${family})`,
    caughtBy.join(", "),
  ]);
  const simulated = Object.keys(SIMULATED_ONLY).map((name) => [
    name,
    "the simulated world only",
    "",
  ]);
  return formatTable([["MUTATION", "SCENARIO", "CAUGHT BY"], ...rows, ...simulated]);
}
