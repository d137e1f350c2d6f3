/** Plans that lead a mutation to where it does harm: drawn from a seed, with the faults that it takes. */
import { type Fault, type FaultKind, type Plan, planOfSeed } from "../sim/plan.ts";

const SHORT = { ttlSeconds: 120, renewMarginMinutes: 1 };
const LONG = { ttlSeconds: 86_400, renewMarginMinutes: 60 };

/** One round of whatever the seed brings. */
export function anyPlan(seed: number): Plan {
  return { ...planOfSeed(seed, { nodes: { min: 2, max: 10 }, minutes: 10 }), rounds: 1 };
}

function directed(seed: number, shape: Partial<Plan>, faults: readonly Fault[]): Plan {
  return { ...anyPlan(seed), ...LONG, ...shape, faults };
}

function fault(kind: FaultKind, node: number, atSeconds: number, seconds = 1, variant = 1): Fault {
  return { kind, round: 0, node, atSeconds, seconds, variant };
}

/** Ten dual-stack nodes start at once on a few subnets. */
export function crowdedStart(seed: number): Plan {
  return directed(seed, { nodes: 10, range: "tight", dualStack: true }, []);
}

/** A machine sleeps while another takes its subnet, and wakes when a renewal is due. */
export function sleepAndLoss(seed: number): Plan {
  const atSeconds = 20 + (seed % 30);
  return directed(seed, { ...SHORT, nodes: 4, range: "roomy" }, [
    fault("pause", 1, atSeconds, 90),
    fault("overwrite", 1, atSeconds + 20),
  ]);
}

/**
 * As many nodes as subnets. While one hears nothing, three others start anew, with new MACs, and share out what they had; the
 * history of that is gone when the one asks.
 */
export function missedHandover(seed: number): Plan {
  const [deaf, ...others] = [0, 1, 2, 3].map((index) => (index + seed) % 7);
  return directed(seed, { nodes: 7, range: "scarce", backend: "vxlan" }, [
    fault("silence", deaf ?? 0, 10, 390),
    ...others.map((node) => fault("reboot", node, 20, 200)),
    ...others.map((node) => fault("delete-key", node, 30)),
    fault("compact", 0, 395, 1, 0),
  ]);
}

/** Connections break after a compaction: everybody lists anew. */
export function compactedConnections(seed: number): Plan {
  return directed(seed, { nodes: 4, range: "roomy" }, [
    fault("refuse", seed, 20, 30),
    fault("overwrite", seed + 1, 30),
    fault("compact", 0, 40, 1, 0),
    fault("refuse", seed + 2, 100, 30),
    fault("overwrite", seed + 3, 110),
    fault("compact", 0, 120, 1, 0),
  ]);
}

/** A renewal gets no answer. */
export function unansweredRenewal(seed: number): Plan {
  return directed(seed, { ...SHORT, nodes: 3, range: "roomy" }, [fault("refuse", seed, 40, 40)]);
}

/** Leases live shortly and nothing happens to them. */
export function quietRenewals(seed: number): Plan {
  return directed(seed, { ...SHORT, nodes: 3, range: "roomy" }, []);
}

/** A wall clock is set back by a day, after the first renewal. */
export function wallClockSetBack(seed: number): Plan {
  return directed(seed, { ...SHORT, nodes: 3, range: "roomy" }, [fault("wall-jump", seed, 75)]);
}

/** An operator makes a lease a reservation. */
export function reservation(seed: number): Plan {
  return directed(seed, { nodes: 3, range: "roomy" }, [fault("reserve", seed, 60)]);
}

/** A key is deleted while the store takes nothing in, so that its owner cannot take it again. */
export function lossWhileFull(seed: number): Plan {
  return directed(seed, { nodes: 3, range: "roomy" }, [
    fault("no-space", seed, 20, 60),
    fault("delete-key", seed, 40),
  ]);
}

/** An operator gives a subnet to another node. */
export function foreignOverwrite(seed: number): Plan {
  return directed(seed, { nodes: 3, range: "roomy" }, [fault("overwrite", seed, 60)]);
}

/** A value that nobody can read. */
export function poison(seed: number): Plan {
  return directed(seed, { nodes: 3, range: "roomy" }, [fault("poison-value", seed, 60, 1, 1)]);
}

/** The store refuses everybody for minutes. */
export function outage(seed: number): Plan {
  return directed(seed, { nodes: 3, range: "roomy" }, [fault("store-refuse", 0, 30, 160)]);
}

/** Nodes leave for good while another one is down. */
export function departures(seed: number): Plan {
  return directed(seed, { nodes: 6, range: "roomy" }, [
    fault("stop", seed, 20, 200),
    fault("overwrite", seed + 1, 60),
    fault("overwrite", seed + 2, 61),
  ]);
}

/** The network configuration changes, and every agent starts again. */
export function changedConfig(seed: number): Plan {
  return directed(seed, { nodes: 3, range: "roomy" }, [fault("change-config", 0, 60, 1, 2)]);
}

/** An agent is stopped and started again. */
export function restart(seed: number): Plan {
  return directed(seed, { nodes: 3, range: "roomy" }, [fault("stop", seed, 60, 30)]);
}

/** A machine starts anew, without a memory of its subnet. */
export function reboot(seed: number): Plan {
  return directed(seed, { nodes: 3, range: "roomy" }, [fault("reboot", seed, 60, 30)]);
}

/** An operator revokes a lease. */
export function revokedLease(seed: number): Plan {
  return directed(seed, { nodes: 3, range: "roomy" }, [fault("expire-lease", seed, 60)]);
}

/** As many nodes as subnets, one of which a stranger holds for a while. */
export function passingStranger(seed: number): Plan {
  return directed(seed, { nodes: 7, range: "scarce" }, [fault("overwrite", seed, 60)]);
}

/** Nothing happens to nodes of both families. */
export function quietDualStack(seed: number): Plan {
  return directed(seed, { nodes: 4, range: "roomy", dualStack: true }, []);
}

/** A lease comes, and goes again. */
export function newcomer(seed: number): Plan {
  return directed(seed, { nodes: 4, range: "roomy" }, [fault("reboot", seed, 60, 60)]);
}

/** Somebody deletes objects of the agents, one after the other. */
export function removedObjects(seed: number): Plan {
  return tampered(seed, "remove-object");
}

/** Somebody alters objects of the agents, one after the other. */
export function alteredObjects(seed: number): Plan {
  return tampered(seed, "alter-object");
}

/** The same, now the one and now the other, and the kernel's events about it get lost. */
export function unheardTampering(seed: number): Plan {
  return tampered(seed, "tamper-unheard");
}

function tampered(seed: number, kind: FaultKind): Plan {
  return directed(
    seed,
    { nodes: 3, range: "roomy" },
    Array.from({ length: 6 }, (_, index) => fault(kind, seed + index, 60 + 20 * index, 1, index)),
  );
}

/** A tunnel device is deleted. */
export function removedDevice(seed: number): Plan {
  return directed(seed, { nodes: 4, range: "roomy", backend: "vxlan" }, [
    fault("remove-device", seed, 60),
  ]);
}

/** The external interface gets another MTU. */
export function changedMtu(seed: number): Plan {
  return directed(seed, { nodes: 3, range: "roomy" }, [fault("change-mtu", seed, 60)]);
}
