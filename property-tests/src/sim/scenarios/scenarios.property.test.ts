/** Scenarios of the lab in the simulated world: each variant that can be played there passes, known bugs fail, and no word is left undecided. */
import type { Fault, FaultName, Step, Variant } from "lab/scenario";
import { loadScenarios } from "lab/scenario-files";
import { describe, expect, test } from "vitest";
import { KNOWN_BUGS } from "../../mutations/registry.ts";
import { playScenario } from "./play-scenario.ts";
import { VXLAN, play, story, wrongsOf } from "./stories.ts";
import { FAULTS, whyNotPlayable, whyNotStep } from "./words.ts";

const SEEDS = [1, 2, 3];

const scenarios = await loadScenarios();
const all = scenarios.flatMap((scenario) =>
  scenario.variants.map((variant) => ({
    scenario,
    variant,
    name: scenario.name,
    words: [
      variant.backend,
      variant.family,
      `${variant.segments} segments`,
      ...Object.keys(variant.backendOptions ?? {}),
    ].join(" "),
  })),
);
const playable = all.filter(({ scenario, variant }) => !whyNotPlayable(scenario, variant));

describe("every scenario", () => {
  test.each(playable)("$name ($words) passes in the simulated world", async (one) => {
    for (const seed of SEEDS) {
      const played = await playScenario(one.scenario, one.variant, { seed });
      expect(wrongsOf(played), `seed ${seed}`).toEqual([]);
      // Looked at when all is quiet, and nowhere else.
      expect(played.counts.get("D1"), `seed ${seed}`).toBeGreaterThan(0);
    }
  });

  test("all but those of words that are not here can be played", () => {
    expect(playable.length).toBeGreaterThan(110);
    const others = all.filter((one) => !playable.includes(one));
    expect([...new Set(others.map(({ name }) => name))]).toEqual([
      "address-changes",
      "addresses-are-swapped",
      "agent-is-throttled",
      "fifty-join-at-once",
      "frames-are-damaged",
      "hosts-are-up-for-long",
      "network-is-lossy",
      "network-is-slow",
      "network-is-slow-and-lossy",
      "partition-from-all",
      "partition-from-store",
      "peer-changes-unheard",
      "peers-hear-one-way",
      "run-is-read-only",
      "store-loses-quorum",
      "store-member-dies",
      "store-member-is-isolated",
      "tunnel-is-black-holed",
    ]);
  });

  test("F4: the same seed does the same, line by line, and another one something else", async () => {
    const hashOf = async (seed: number): Promise<string> => {
      const { traceHash } = await playScenario(story({ act: "heal" }), VXLAN, { seed });
      return traceHash;
    };
    expect(await hashOf(1)).toBe(await hashOf(1));
    expect(await hashOf(2)).not.toBe(await hashOf(1));
  });
});

describe("words", () => {
  test("each fault is played, played with some parameters only, or it is said why not", () => {
    const [played, some, not]: [string[], string[], string[]] = [[], [], []];
    for (const [name, word] of Object.entries(FAULTS)) {
      if (typeof word === "string") not.push(name);
      else if (word.whyNot === undefined) played.push(name);
      else some.push(name);
    }
    const rows = { played, some, not };
    expect(mapValues(rows, (names) => names.toSorted().join(" "))).toEqual({
      played:
        "alter-fdb alter-neighbour alter-route change-config change-leader change-mac change-mtu clock-drift compact-store " +
        "delete-fdb delete-lease delete-link delete-neighbour delete-route detour expire-lease expire-tokens fill-store " +
        "flush-routes foreign-device join-storm kill-agent leave-storm link-flap overwrite-lease pause-agent pause-store " +
        "poison-key reboot-host reserve-lease reset-connections restart-agent roll-back-store rolling-restart stop-agent stop-store",
      some: "clock-jump clock-strobe compact-often foreign-route partition",
      not:
        "black-hole change-address corrupt delay duplicate isolate-member jitter long-uptime lose-quorum loss partition-pair partition-ring " +
        "pause-member rate read-only-run reorder stop-member swap-addresses throttle-agent",
    });
  });

  test.each<[Step, RegExp]>([
    [{ fault: "loss", node: 1, percent: 10 }, /^loss: no packets travel/],
    [{ fault: "change-address", node: 1 }, /^change-address: a node is known by its address/],
    [{ fault: "partition", node: 1 }, /^partition: from all, both: only the store/],
    [{ fault: "partition", node: 1, from: "peers" }, /^partition: from peers/],
    [{ fault: "partition", node: 1, from: "store", direction: "in" }, /^partition: .* in:/],
    [{ fault: "foreign-route", node: 1, to: "10.244.0.0/24" }, /^foreign-route: to 10\.244/],
    [{ fault: "clock-jump", node: 1, by: "soon" }, /^clock-jump: no time: soon/],
    [{ fault: "toString" as FaultName } as Step, /^toString: no such word/],
    [{ expect: "peace" as "repaired", withinMs: 1 }, /^peace: no such word/],
    [{ act: "hope" as "heal" }, /^hope: no such word/],
    [{ probe: "pause" as "stop" }, /^probe pause: no such word/],
  ])("%j cannot be played", (step, why) => {
    expect(whyNotStep(step)).toMatch(why);
    expect(whyNotPlayable(story({ act: "heal" }, step), VXLAN)).toMatch(why);
  });

  test.each<Step>([
    { fault: "partition", node: 1, from: "store" },
    { fault: "foreign-route", node: 1 },
    { fault: "clock-jump", node: 1, by: "1h" },
  ])("%j can", (step) => {
    expect(whyNotStep(step)).toBeUndefined();
  });

  test("a scenario with more nodes than this world has time for cannot", () => {
    const storm = (hosts: number): string | undefined =>
      whyNotPlayable(story({ fault: "join-storm", hosts }), VXLAN);
    expect(storm(17)).toBeUndefined();
    expect(storm(18)).toMatch(/^21 nodes: more than 20/);
  });

  test.each<[Partial<Variant>, RegExp]>([
    [{ backend: "wireguard" }, /^backend wireguard/],
    [{ segments: 3 }, /^3 segments/],
    [{ backendOptions: { VNI: 7 } }, /^backend option VNI/],
  ])("a variant with %j cannot be played, and nothing of it is", async (change, why) => {
    const variant = { ...VXLAN, ...change };
    expect(whyNotPlayable(story(), variant)).toMatch(why);
    await expect(play([], variant)).rejects.toThrow(/is not playable/);
  });
});

/** One of each fault that can be played. */
const EXAMPLES: readonly Fault[] = [
  { fault: "alter-fdb", node: 1, peer: 2 },
  { fault: "alter-neighbour", node: 1, peer: 2 },
  { fault: "alter-route", node: 1, peer: 2 },
  { fault: "change-config" },
  { fault: "change-leader" },
  { fault: "change-mac", node: 1, link: "flannel.1" },
  { fault: "change-mtu", node: 1, mtu: 1400 },
  { fault: "clock-drift", node: 1, pace: 50 },
  { fault: "clock-jump", node: 1, by: "1h", towards: "past" },
  { fault: "clock-strobe", node: 1, by: "25h" },
  { fault: "compact-often" },
  { fault: "compact-store" },
  { fault: "delete-fdb", node: 1, peer: 2 },
  { fault: "delete-lease", node: 1 },
  { fault: "delete-link", node: 1, link: "flannel-v6.1" },
  { fault: "delete-neighbour", node: 1, peer: 2 },
  { fault: "delete-route", node: 1, peer: 2 },
  { fault: "detour", node: 1, peer: 2 },
  { fault: "expire-lease", node: 1 },
  { fault: "expire-tokens" },
  { fault: "fill-store" },
  { fault: "flush-routes", node: 1 },
  { fault: "foreign-device", node: 1 },
  { fault: "foreign-route", node: 1 },
  { fault: "join-storm", hosts: 2 },
  { fault: "kill-agent", node: 1 },
  { fault: "leave-storm", hosts: 1 },
  { fault: "link-flap", node: 1 },
  { fault: "overwrite-lease", node: 1 },
  { fault: "partition", node: 1, from: "store" },
  { fault: "pause-agent", node: 1 },
  { fault: "pause-store" },
  { fault: "poison-key" },
  { fault: "reboot-host", node: 1 },
  { fault: "reserve-lease", node: 1 },
  { fault: "reset-connections", node: 1 },
  { fault: "restart-agent", node: 1 },
  { fault: "roll-back-store" },
  { fault: "rolling-restart" },
  { fault: "stop-agent", node: 1 },
  { fault: "stop-store" },
];

describe("each fault", () => {
  test("that can be played has an example", () => {
    const there = Object.entries(FAULTS).filter(([, word]) => typeof word !== "string");
    expect(EXAMPLES.map(({ fault }) => fault)).toEqual(there.map(([name]) => name).toSorted());
  });

  test.each(EXAMPLES)("$fault strikes, is healed, and all is well then", async (fault) => {
    const steps: readonly Step[] = [
      { ...fault, forMs: 30_000 },
      { act: "heal" },
      { fault: "kill-agent", node: 3 },
      { act: "heal" },
      // The other one took the subnet for good: its node takes another when it is started.
      ...(fault.fault === "overwrite-lease" ? [{ act: "start-agent", node: 1 } as const] : []),
      { expect: "kernel-equals-leases", withinMs: 15_000 },
      { expect: "pods-reach-each-other", withinMs: 1_000 },
      { expect: "largest-packet-is-mtu", withinMs: 1_000 },
    ];
    for (const seed of SEEDS)
      expect(wrongsOf(await playScenario(story(...steps), VXLAN, { seed }))).toEqual([]);
  });
});

describe("known bugs fail the scenario that is about them, under their invariant", () => {
  test.each([
    ["removes a route of others", "foreign-objects-stay"],
    ["a bad event withdraws all", "poison-keys-change-nothing"],
    ["ignores routes left behind", "leftovers-go-at-start"],
    ["keeps an old MAC", "peer-mac-changes"],
    ["overlooks its own key", "host-reboots"],
    ["never takes a lost key again", "lease-is-removed"],
    ["deaf to its own key", "foreign-owner-takes-lease"],
    ["programs late", "node-joins-and-leaves"],
    ["sends to the wrong node", "pods-reach-each-other"],
    ["writes subnet.env once", "mtu-changes"],
    ["takes the overhead off twice", "largest-packet"],
    ["a new device has a new MAC", "vxlan-device-comes-back"],
    ["a new device has no peers", "vxlan-device-comes-back"],
    ["deaf to kernel events", "vxlan-objects-come-back"],
    ["overlooks altered objects", "host-gw-routes-come-back"],
    ["a relist shows the own subnet as a peer's", "store-compacts-often"],
    ["a relist forgets which lease is the own one", "store-compacts-often"],
    ["has no condition over all leases", "nodes-storm"],
    ["a reservation becomes a lease", "subnet-is-reserved"],
    ["keeps an old MAC", "pause-outlasts-lease"],
    ["passes peers on late", "lease-is-reassigned-in-partition"],
    ["deaf to its own key", "clock-strobes"],
  ])("%s: %s", async (bugName, scenarioName) => {
    const bug = KNOWN_BUGS.find(({ name }) => name === bugName);
    const one = playable.find(({ name }) => name === scenarioName);
    if (bug === undefined || one === undefined) throw new Error("no such bug, or scenario");
    for (const seed of SEEDS) {
      const played = await playScenario(one.scenario, one.variant, { seed, mutation: bug.wrap });
      const ids = wrongsOf(played).map((wrong) => wrong.slice(0, wrong.indexOf(":")));
      expect(ids, `seed ${seed}`).toContain(bug.invariant);
    }
  });
});

function mapValues(
  rows: Readonly<Record<string, readonly string[]>>,
  how: (names: readonly string[]) => string,
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(rows).map(([key, names]) => [key, how(names)]));
}
