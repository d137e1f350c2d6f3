/** Laws of the masquerade and forward rules, over firewalls in memory that read and print what the real ones do. */
import {
  addToIp,
  cidr,
  cidrAddress,
  cidrLength,
  containsIp,
  familyBits,
  isMulticast,
  maskCidr,
  overlaps,
} from "agent/core/ip.ts";
import type { Cidr, Family, Ip } from "agent/core/ip.ts";
import { readIptablesSave, planIptables } from "agent/core/iptables-rules.ts";
import { readNftables } from "agent/core/nftables-rules.ts";
import { planChain, planTrafficRules } from "agent/core/traffic-rules.ts";
import type { Purpose, TrafficRule, TrafficWish } from "agent/core/traffic-rules.ts";
import { MemoryLog } from "agent/system/memory-log.ts";
import { openTrafficManager } from "agent/traffic-manager/firewalls.ts";
import { MemoryFirewalls } from "agent/traffic-manager/memory-firewalls.ts";
import type { TrafficManager } from "agent/traffic-manager/traffic-manager.ts";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { anyFamily, ip } from "./arbitraries.ts";

interface Pods {
  readonly network: Cidr;
  readonly subnet: Cidr;
}

/** A network and a subnet inside it. */
function pods(family: Family): fc.Arbitrary<Pods> {
  const most = familyBits(family) - 2;
  return fc
    .record({
      address: ip(family),
      length: fc.integer({ min: 1, max: most - 2 }),
      more: fc.integer({ min: 2, max: 16 }),
      index: fc.bigInt({ min: 0n, max: 65_535n }),
    })
    .map(({ address, length, more, index }) => {
      const network = maskCidr(cidr(address, length));
      const subnetLength = Math.min(length + more, most);
      const size = 1n << BigInt(familyBits(family) - subnetLength);
      const count = 1n << BigInt(subnetLength - length);
      const first = addToIp(cidrAddress(network), size * (index % count));
      return { network, subnet: cidr(first, subnetLength) };
    });
}

const switches = fc.record({
  masquerade: fc.boolean(),
  forward: fc.boolean(),
  fullyRandom: fc.boolean(),
});

function wish(family: Family): fc.Arbitrary<TrafficWish & { readonly pods: Pods }> {
  return fc.record({ pods: pods(family), switches }).map((one) => ({
    pods: one.pods,
    ...one.switches,
    ownNetworks: [one.pods.network],
  }));
}

const anyWish = anyFamily.chain((family) => wish(family).map((one) => ({ family, wish: one })));

function manager(command: MemoryFirewalls, usesNftables: boolean): TrafficManager {
  const watchRules = (): AsyncIterable<never> => {
    throw new Error("nobody watches");
  };
  return openTrafficManager({
    usesNftables,
    command,
    watchRules,
    ruleGeneration: () => undefined,
    legacyRules: () => undefined,
    log: new MemoryLog(),
  });
}

function shown(firewalls: MemoryFirewalls, family: Family): string {
  const table = family === 4 ? ["ip", "flannel-ipv4"] : ["ip6", "flannel-ipv6"];
  const [name = "", tableName = ""] = table;
  return `${firewalls.iptables[family].save()}${firewalls.nftables.list(name, tableName) ?? ""}`;
}

/** Rules that others write: kube-proxy's, an operator's, also ones that look a little like flannel's. */
const foreignRule = fc.constantFrom(
  "-j KUBE-POSTROUTING",
  "-s 198.51.100.0/24 -j DROP",
  '-s 198.51.100.0/24 -m comment --comment "flanneld" -j ACCEPT',
  '-m comment --comment "not flanneld masq" -j RETURN',
  "-o eth0 -j MASQUERADE",
  '-m comment --comment "-j FLANNEL-FWD" -j ACCEPT',
  "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
);

const foreignTables = fc
  .record({
    nat: fc.array(
      fc.tuple(fc.constantFrom("POSTROUTING", "PREROUTING", "KUBE-POSTROUTING"), foreignRule),
    ),
    filter: fc.array(fc.tuple(fc.constantFrom("FORWARD", "INPUT", "MINE"), foreignRule)),
    policy: fc.constantFrom("ACCEPT", "DROP"),
  })
  .map(({ nat, filter, policy }) =>
    [
      "*nat",
      ":KUBE-POSTROUTING - [0:0]",
      ...nat.map(([chain, rule]) => `-A ${chain} ${rule}`),
      "COMMIT",
      "*filter",
      `:FORWARD ${policy} [0:0]`,
      ":MINE - [0:0]",
      ":KUBE-POSTROUTING - [0:0]",
      ...filter.map(([chain, rule]) => `-A ${chain} ${rule}`),
      "COMMIT",
      "",
    ].join("\n"),
  );

test("D13: whatever others have stays as it is, in its order, while ours come and when they have gone", async () => {
  await fc.assert(
    fc.asyncProperty(anyWish, foreignTables, fc.boolean(), async (one, theirs, usesNftables) => {
      const firewalls = new MemoryFirewalls();
      expect(firewalls.iptables[one.family].restore(theirs)).toBeUndefined();
      const before = shown(firewalls, one.family);
      const agent = manager(firewalls, usesNftables);
      await agent.apply(one.family, one.wish, "all");
      const during = shown(firewalls, one.family).trimEnd().split("\n");
      const foreign = during.filter(
        (line) => !/^(:|-A )FLANNEL|"flanneld (masq|forward)" -j FLANNEL|nftables/.test(line),
      );
      expect(foreign).toEqual(before.trimEnd().split("\n"));
      await agent.apply(one.family, { ...one.wish, masquerade: false, forward: false }, "all");
      expect(shown(firewalls, one.family)).toBe(before);
    }),
  );
});

test("D13: a second look writes nothing, and shows the same", async () => {
  await fc.assert(
    fc.asyncProperty(anyWish, foreignTables, fc.boolean(), async (one, theirs, usesNftables) => {
      const firewalls = new MemoryFirewalls();
      firewalls.iptables[one.family].restore(theirs);
      await manager(firewalls, usesNftables).apply(one.family, one.wish, "all");
      const once = shown(firewalls, one.family);
      expect(await manager(firewalls, usesNftables).apply(one.family, one.wish, "all")).toBe(false);
      expect(shown(firewalls, one.family)).toBe(once);
    }),
  );
});

test("an agent that crashes before any command leaves the old rules or the new ones, and the next ends as if nothing had been", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyFamily.chain((family) =>
        fc.record({ family: fc.constant(family), first: wish(family), second: wish(family) }),
      ),
      fc.boolean(),
      fc.boolean(),
      fc.integer({ min: 0, max: 6 }),
      async ({ family, first, second }, firstNftables, usesNftables, steps) => {
        const next = { ...second, ownNetworks: [second.pods.network, first.pods.network] };
        const calm = new MemoryFirewalls();
        const firewalls = new MemoryFirewalls();
        for (const one of [calm, firewalls])
          await manager(one, firstNftables).apply(family, first, "all");
        const before = chains(firewalls, family);
        await manager(calm, usesNftables).apply(family, next, "all");
        const after = chains(calm, family);

        let left = steps;
        firewalls.beforeCommand = () => {
          if (left-- === 0) throw new Error("crash");
        };
        await manager(firewalls, usesNftables)
          .apply(family, next, "all")
          .catch(() => undefined);
        for (const [name, rules] of chains(firewalls, family))
          expect([before.get(name), after.get(name)]).toContainEqual(rules);
        firewalls.beforeCommand = () => undefined;
        await manager(firewalls, usesNftables).apply(family, next, "all");
        expect(chains(firewalls, family)).toEqual(after);
      },
    ),
  );
});

/** What each chain of flannel's holds; undefined for one that is not there. */
function chains(
  firewalls: MemoryFirewalls,
  family: Family,
): ReadonlyMap<string, string | undefined> {
  const text = firewalls.iptables[family].save();
  const found = new Map<string, string | undefined>();
  for (const chain of ["FLANNEL-POSTRTG", "FLANNEL-FWD"]) {
    const lines = text.split("\n").filter((line) => line.includes(chain));
    found.set(chain, lines.length === 0 ? undefined : lines.join("\n"));
  }
  const [name, table] = family === 4 ? ["ip", "flannel-ipv4"] : ["ip6", "flannel-ipv6"];
  found.set("nftables", firewalls.nftables.list(name ?? "", table ?? ""));
  return found;
}

test("two agents of one node, whose networks are apart, are soon both content and have what each wants", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(wish(4), wish(4)).filter(([a, b]) => !overlaps(a.pods.network, b.pods.network)),
      fc.boolean(),
      fc.array(fc.boolean(), { maxLength: 6 }),
      async ([a, b], usesNftables, turns) => {
        const firewalls = new MemoryFirewalls();
        const [first, second] = [
          manager(firewalls, usesNftables),
          manager(firewalls, usesNftables),
        ];
        for (const turn of turns)
          await (turn ? first.apply(4, a, "usual") : second.apply(4, b, "usual"));
        await first.apply(4, a, "usual");
        await second.apply(4, b, "usual");
        expect(await first.apply(4, a, "usual")).toBe(false);
        expect(await second.apply(4, b, "usual")).toBe(false);
      },
    ),
  );
});

interface Packet {
  readonly from: Ip;
  readonly to: Ip;
  readonly mark: number;
}

/** What a chain does with a packet: the first rule that fits decides. */
function verdictOf(
  rules: readonly TrafficRule[],
  { from, to, mark }: Packet,
): TrafficRule["verdict"] {
  const fits = (match: TrafficRule["source"], address: Ip): boolean =>
    match === undefined || containsIp(match.prefix, address) !== match.negated;
  const found = rules.find(
    (rule) =>
      fits(rule.source, from) &&
      fits(rule.destination, to) &&
      (rule.mark === undefined || (mark & rule.mark.mask) === rule.mark.value),
  );
  return found?.verdict ?? "return";
}

/** Addresses where they matter: around the edges of subnet and network, and anywhere. */
function someAddress(family: Family, { network, subnet }: Pods): fc.Arbitrary<Ip> {
  const around = [network, subnet].flatMap((prefix) => {
    const first = cidrAddress(prefix);
    const size = 1n << BigInt(familyBits(family) - cidrLength(prefix));
    return [first, addToIp(first, -1n), addToIp(first, size - 1n), addToIp(first, size)];
  });
  return fc.oneof(fc.constantFrom(...around), ip(family));
}

test("the masquerade rules do with each packet what the reference's effect table says", () => {
  fc.assert(
    fc.property(
      anyFamily.chain((family) =>
        pods(family).chain((one) =>
          fc.record({
            pods: fc.constant(one),
            from: someAddress(family, one),
            to: someAddress(family, one),
            mark: fc.constantFrom(0, 0x4000, 0x4001, 0xffff, 0x8000, 0x2000),
          }),
        ),
      ),
      ({ pods: { network, subnet }, from, to, mark }) => {
        const { masquerade, forward } = planTrafficRules({
          pods: { network, subnet },
          masquerade: true,
          forward: true,
          fullyRandom: true,
        });
        const fromPod = containsIp(network, from);
        const toPod = containsIp(network, to);
        const toLocal = containsIp(subnet, to);
        const fromLocal = containsIp(subnet, from);
        // Spec 06, the table under 1.1: kube-proxy's; pod to pod; anybody to a pod of this node; pod to outside; others to other pods.
        const isKept =
          (mark & 0x4000) !== 0 || toLocal || (fromLocal && toPod) || (!fromPod && !toPod);
        const isMasqueraded = !isKept && (fromPod ? !isMulticast(to) : true);
        expect(verdictOf(masquerade, { from, to, mark })).toBe(
          isMasqueraded ? "masquerade" : "return",
        );
        expect(verdictOf(forward, { from, to, mark })).toBe(fromPod || toPod ? "accept" : "return");
      },
    ),
  );
});

const anyRule: fc.Arbitrary<TrafficRule> = fc
  .record({
    source: fc.option(
      fc.record({ prefix: pods(4).map(({ subnet }) => subnet), negated: fc.boolean() }),
    ),
    destination: fc.option(
      fc.record({ prefix: pods(4).map(({ network }) => network), negated: fc.boolean() }),
    ),
    mark: fc.option(
      fc.constantFrom({ value: 0x4000, mask: 0x4000 }, { value: 0x4000, mask: 0xffffffff }),
    ),
    verdict: fc.constantFrom("return", "accept", "masquerade"),
    fullyRandom: fc.boolean(),
  })
  .map(({ source, destination, mark, verdict, fullyRandom }) => ({
    ...(source === null ? {} : { source }),
    ...(destination === null ? {} : { destination }),
    ...(mark === null ? {} : { mark }),
    verdict,
    fullyRandom,
  }));

test("what a chain shall hold is what is right, holds the wish in its order, and nothing that nobody wrote", () => {
  fc.assert(
    fc.property(
      wish(4),
      fc.option(fc.array(fc.option(anyRule, { nil: undefined })), { nil: undefined }),
      fc.constantFrom<Purpose>("masquerade", "forward"),
      (one, standing, purpose) => {
        const wanted = planTrafficRules(one)[purpose];
        const { ownNetworks } = one;
        const plan = planChain(standing, wanted, { purpose, ownNetworks });
        const rules = plan.rules.length === 0 ? undefined : plan.rules;
        expect(planChain(rules, wanted, { purpose, ownNetworks })).toEqual({
          isRight: true,
          rules: plan.rules,
        });
        const ofOthers = plan.rules.filter(
          (rule) => !wanted.includes(rule) && rule.mark === undefined,
        );
        expect(standing ?? []).toEqual(expect.arrayContaining(ofOthers));
        const ours = plan.rules.filter((rule) => !ofOthers.includes(rule));
        expect(ours.slice(0, wanted.length)).toEqual(wanted);
        const length = plan.isRight ? (standing?.length ?? 0) : plan.rules.length;
        expect(plan.rules).toHaveLength(length);
      },
    ),
  );
});

test("no text that a program may print is an exception", () => {
  const lines = fc.array(
    fc.oneof(
      fc.string(),
      fc.constantFrom(
        "*nat",
        "*filter",
        "COMMIT",
        ":FLANNEL-POSTRTG - [0:0]",
        ":FORWARD DROP [0:0]",
      ),
      fc.string().map((text) => `-A FLANNEL-POSTRTG ${text}`),
      fc.string().map((text) => `-A POSTROUTING ${text} -j FLANNEL-POSTRTG`),
    ),
  );
  fc.assert(
    fc.property(lines, wish(4), (text, one) => {
      const state = readIptablesSave(text.join("\n"));
      expect(planIptables(state, one, { besidesNftables: false }) ?? "COMMIT\n").toMatch(
        /COMMIT\n$/,
      );
    }),
  );
  const member = fc.oneof(fc.jsonValue(), fc.constantFrom("postrtg", "forward", "prefix"));
  const object = fc.dictionary(fc.constantFrom("rule", "chain", "expr", "name", "table"), member);
  const nested = fc.record({
    nftables: fc.array(fc.oneof(object, fc.record({ rule: object }), fc.jsonValue())),
  });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        nested.map((value) => JSON.stringify(value)),
      ),
      (text) => {
        const state = readNftables(text, 4);
        expect(state === undefined || typeof state.hasOtherObjects === "boolean").toBe(true);
      },
    ),
  );
});
