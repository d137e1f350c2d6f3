/**
 * Nodes that lease at the same time, over one store in memory. A scheduler decides which request and which reply goes next, so
 * every interleaving of their reads and writes can come up; replies to writes get lost on the way.
 */
import { FAMILIES, overlaps } from "agent/core/ip.ts";
import type { Ip } from "agent/core/ip.ts";
import type { Lease, LeaseAttributes } from "agent/core/lease.ts";
import { parseNetworkConfig } from "agent/core/network-config.ts";
import { parseSubnetKey } from "agent/core/subnet-key.ts";
import { MemoryDatabase } from "agent/subnet-manager/etcd/memory-database.ts";
import { openMemorySubnetManager } from "agent/subnet-manager/etcd/memory-subnet-manager.ts";
import { ManualClock } from "agent/system/manual-clock.ts";
import { MemoryLog } from "agent/system/memory-log.ts";
import { SeededRandom } from "agent/system/seeded-random.ts";
import * as fc from "fast-check";
import { expect, test } from "vitest";

const PREFIX = "/coreos.com/network";
const SUBNETS = `${PREFIX}/subnets/`;

/** One racer: how it reads the configuration that is being changed, how its dice fall, how many replies it loses. */
interface Racer {
  readonly seed: number;
  readonly dualStack: boolean;
  readonly subnetLength: number;
  readonly lostReplies: number;
}

const racer: fc.Arbitrary<Racer> = fc.record({
  seed: fc.nat(),
  dualStack: fc.boolean(),
  // Two lengths at once, as while an operator changes SubnetLen: keys differ and still overlap.
  subnetLength: fc.constantFrom(27, 28),
  lostReplies: fc.nat({ max: 2 }),
});

/** 64 subnets of /28 or 32 of /27: room for all racers however they scatter, and little enough to collide often. */
function configOf({ dualStack, subnetLength }: Racer): ReturnType<typeof parseNetworkConfig> {
  return parseNetworkConfig(
    JSON.stringify({
      Network: "10.3.0.0/22",
      SubnetLen: subnetLength,
      EnableIPv6: dualStack,
      IPv6Network: "fd00::/118",
      IPv6SubnetLen: subnetLength + 96,
      Backend: { Type: "host-gw" },
    }),
  );
}

function attributesOf(index: number): LeaseAttributes {
  return {
    publicIps: { 4: `192.0.2.${index + 1}` as Ip },
    backendType: "host-gw",
    backendData: {},
  };
}

/** What is wrong with the keys that are live at this moment; empty when nothing is (invariants A1, A3). */
function violations(database: MemoryDatabase): string[] {
  const { entries } = database.range({ prefix: SUBNETS });
  const live = entries.map(({ key, value }) => ({
    key,
    value,
    subnets: parseSubnetKey(key.slice(SUBNETS.length)) ?? {},
  }));
  return live.flatMap((one, index) =>
    live.slice(index + 1).flatMap((other) => {
      const shared = FAMILIES.some((family) => {
        const [a, b] = [one.subnets[family], other.subnets[family]];
        return a !== undefined && b !== undefined && overlaps(a, b);
      });
      const problems = shared ? [`${one.key} overlaps ${other.key}`] : [];
      return one.value === other.value
        ? [...problems, `two keys of one node: ${one.value}`]
        : problems;
    }),
  );
}

/** Lets all racers run to the end, one step at a time; whatever is wrong after any change of the store is reported. */
async function race(
  racers: readonly Racer[],
  scheduler: fc.Scheduler,
): Promise<{ readonly leases: readonly Lease[]; readonly problems: readonly string[] }> {
  const clock = new ManualClock();
  const database = new MemoryDatabase(clock);
  const problems: string[] = [];
  database.onChange(() => problems.push(...violations(database)));
  const { signal } = new AbortController();
  const leasing = Promise.all(
    racers.map((each, index) => {
      const { subnetManager, store } = openMemorySubnetManager({
        prefix: PREFIX,
        clock,
        database,
        random: new SeededRandom(each.seed),
        log: new MemoryLog(),
        pace: (step) => scheduler.schedule(Promise.resolve(), `node ${index + 1}: ${step}`),
      });
      store.loseReplies(each.lostReplies, "txn");
      return subnetManager.acquireLease(configOf(each), attributesOf(index), {}, signal);
    }),
  );
  const ended = new AbortController();
  const end = (): void => ended.abort();
  leasing.then(end, end);
  for (let steps = 0; steps < 10_000 && !ended.signal.aborted; steps++) {
    // With nothing on its way, all that is left is waiting for time to pass.
    if (scheduler.count() > 0) await scheduler.waitOne();
    else await clock.advance(20);
  }
  database.close();
  expect(ended.signal.aborted).toBe(true);
  return { leases: await leasing, problems };
}

test("A1, A3, A8: racing allocators all get a subnet, and no two overlap in either family at any moment", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(racer, { minLength: 2, maxLength: 8 }),
      fc.scheduler(),
      async (racers, scheduler) => {
        const { leases, problems } = await race(racers, scheduler);
        expect(problems).toEqual([]);
        expect(leases).toHaveLength(racers.length);
      },
    ),
  );
});
