import type { IpFamily } from "./addresses.ts";
import { foreignObjectsStay } from "./checks/foreign-objects-stay.ts";
import { gapAtMost } from "./checks/gap-at-most.ts";
import { kernelEqualsLeases } from "./checks/kernel-equals-leases.ts";
import { largestPacketIsMtu } from "./checks/largest-packet-is-mtu.ts";
import { nobodyRunsOnAnothersLease } from "./checks/nobody-runs-on-anothers-lease.ts";
import { noPacketLost, type ProbeRecord } from "./checks/no-packet-lost.ts";
import { podsReachEachOther } from "./checks/pods-reach-each-other.ts";
import { repaired } from "./checks/repaired.ts";
import { type SubnetsByHost, subnetsAreKept } from "./checks/subnets-are-kept.ts";
import { type Finding, unknown } from "./checks/verdict.ts";
import { LabError } from "./errors.ts";
import { requestOfStep } from "./faults/request.ts";
import type { Lab, LabStatus } from "./lab.ts";
import { readHostKernel } from "./observe/kernel-state.ts";
import { probeLargestPackets } from "./observe/largest-packet.ts";
import { type LeaseDetails, leaseDetails } from "./observe/lease-details.ts";
import { STORE_PREFIX } from "./observe/leases.ts";
import { factsOfVariant } from "./run-facts.ts";
import { newcomersOf } from "./scenario-check.ts";
import { type FaultEvent, healEvents } from "./scenario-log.ts";
import type { ActStep, ExpectStep, FaultStep, ProbeStep, Step, Variant } from "./scenario.ts";
import type { Clock } from "./system/clock.ts";

/** How often an expectation looks again until its time is over. */
const LOOK_EVERY_MS = 100;
/** A repair that is measured is looked for more often: each look is a bound of what was measured. */
const LOOK_FOR_REPAIR_EVERY_MS = 20;
const AGENT_READY_WITHIN_MS = 20_000;
const SUBNETS_PREFIX = `${STORE_PREFIX}/subnets/`;

interface StageOptions {
  readonly lab: Lab;
  readonly variant: Variant;
  /** How many there are at the beginning. */
  readonly nodes: number;
  readonly clock: Clock;
  /** Is told whether each fault and its end were seen. */
  readonly tell: (event: FaultEvent) => void;
}

/** A scenario in action: the lab, what was remembered, the probes that run. */
export class ScenarioStage implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #variant: Variant;
  readonly #clock: Clock;
  readonly #tell: (event: FaultEvent) => void;
  #lastNode: number;
  #remembered: SubnetsByHost | undefined;
  #isProbing = false;
  #stopped: readonly ProbeRecord[] = [];
  #wantedPackets = 0;

  constructor({ lab, variant, nodes, clock, tell }: StageOptions) {
    this.#lab = lab;
    this.#variant = variant;
    this.#lastNode = nodes;
    this.#clock = clock;
    this.#tell = tell;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stopProbes(0);
  }

  /** @throws LabError of the lab where a step cannot be done */
  async play(step: Step): Promise<Finding> {
    if ("expect" in step) {
      return this.#expect(step);
    }
    if ("probe" in step) {
      return this.#probe(step);
    }
    return "fault" in step ? this.#fault(step) : this.#act(step);
  }

  /** A fault counts only if its effect was seen (invariant F2). */
  async #fault(step: FaultStep): Promise<Finding> {
    this.#lastNode += newcomersOf(step);
    const { id: fault, saw, text } = await this.#lab.injectFault(requestOfStep(step));
    this.#tell(
      saw === undefined
        ? { type: "fault-not-seen", fault, part: "injection", detail: text }
        : { type: "fault-verified", fault, saw },
    );
    return saw === undefined
      ? unknown(`fault ${text}: nobody saw its effect`)
      : { verdict: "pass", details: [saw] };
  }

  async #act(step: ActStep): Promise<Finding> {
    switch (step.act) {
      case "start-agent":
        await this.#lab.startAgent({ host: hostName(step.node) });
        return this.#ready(hostName(step.node));
      case "add-node": {
        const host = hostName(++this.#lastNode);
        await this.#lab.addHost({ host });
        return this.#ready(host);
      }
      case "return-node":
        await this.#lab.addHost({ host: hostName(step.node) });
        return this.#ready(hostName(step.node));
      case "remove-node":
        await this.#lab.removeHost({ host: hostName(step.node) });
        return done();
      case "remember-subnets":
        this.#remembered = subnetsInFiles(await this.#lab.status({}));
        return done();
      case "heal":
        return this.#heal();
    }
  }

  async #heal(): Promise<Finding> {
    const reports = await this.#lab.healFaults({});
    for (const { id, saw, text, trouble = "" } of reports) {
      healEvents(id, saw, `${text}: ${trouble}`).forEach(this.#tell);
    }
    const open = reports.filter(({ saw }) => saw === undefined);
    return open.length === 0
      ? done()
      : unknown(...open.map(({ text, trouble }) => `not healed: ${text}: ${trouble ?? ""}`));
  }

  async #ready(host: string): Promise<Finding> {
    await this.#lab.waitReady({ hosts: [host], timeoutMs: AGENT_READY_WITHIN_MS });
    return done();
  }

  async #probe(step: ProbeStep): Promise<Finding> {
    if (step.probe === "stop") {
      await this.#stopProbes(step.packets ?? 0);
      return done();
    }
    await this.#lab.startProbe({ from: hostName(step.from), to: hostName(step.to) });
    this.#isProbing = true;
    return done();
  }

  async #stopProbes(packets: number): Promise<void> {
    this.#wantedPackets = packets;
    if (this.#isProbing) {
      this.#isProbing = false;
      this.#stopped = await this.#lab.stopProbe({ packets });
    }
  }

  /** Looks until the expectation passes or its time is over; the last look counts. */
  async #expect(step: ExpectStep): Promise<Finding> {
    if (step.expect === "repaired") {
      return this.#repaired(step.withinMs);
    }
    const endMs = this.#clock.nowMs() + step.withinMs;
    for (;;) {
      const finding = await this.#lookIfPossible(step);
      if (finding.verdict === "pass" || this.#clock.nowMs() >= endMs) {
        return finding;
      }
      await this.#clock.sleep(LOOK_EVERY_MS);
    }
  }

  /** A pod that is being made anew cannot be looked at for a moment. */
  async #lookIfPossible(step: ExpectStep): Promise<Finding> {
    try {
      return await this.#look(step);
    } catch (error) {
      if (error instanceof LabError && error.code === "wrong-state") {
        return unknown(error.message);
      }
      throw error;
    }
  }

  async #look({ expect, withinMs }: ExpectStep): Promise<Finding> {
    switch (expect) {
      case "pods-reach-each-other":
        return podsReachEachOther(await this.#lab.ping({ count: 1 }));
      case "kernel-equals-leases":
      case "repaired":
        return this.#lookAtKernels();
      case "foreign-objects-stay":
        return foreignObjectsStay(await this.#lab.listFaults({ look: true }));
      case "subnets-are-kept":
        return this.#lookAtSubnets();
      case "nobody-runs-on-anothers-lease":
        return this.#lookAtClaims();
      case "no-packet-lost":
        return noPacketLost(this.#stopped, this.#wantedPackets);
      case "gap-at-most":
        return gapAtMost(this.#stopped, withinMs);
      case "largest-packet-is-mtu":
        return largestPacketIsMtu(this.#variant.backend, await probeLargestPackets(this.#lab));
    }
  }

  /** Its time runs from the fault's effect, not from this step. */
  async #repaired(withinMs: number): Promise<Finding> {
    let lastWrongMs = 0;
    for (;;) {
      const startedMs = (await this.#lab.readRepairs({})).elapsedMs;
      const look = await this.#lookAtKernels();
      const report = await this.#lab.readRepairs({});
      if (look.verdict === "pass" || startedMs > withinMs) {
        return repaired({ look, report, lastWrongMs, withinMs });
      }
      lastWrongMs = startedMs;
      await this.#clock.sleep(LOOK_FOR_REPAIR_EVERY_MS);
    }
  }

  async #lookAtKernels(): Promise<Finding> {
    const { hosts } = await this.#lab.status({});
    const views = await Promise.all(
      hosts.map(async (host) => ({
        host: host.name,
        publicIps: perFamily(host.publicIps),
        kernel: await readHostKernel(this.#lab, host.name),
      })),
    );
    return kernelEqualsLeases(factsOfVariant(this.#variant), await this.#leases(), views);
  }

  async #lookAtSubnets(): Promise<Finding> {
    const status = await this.#lab.status({});
    const leases = await this.#leases();
    const store = new Map(
      status.hosts.flatMap((host): [string, string][] => {
        const lease = leases.find(({ publicIps }) => host.publicIps.includes(publicIps.ipv4 ?? ""));
        return lease === undefined
          ? []
          : [[host.name, [lease.subnets.ipv4, lease.subnets.ipv6].filter(Boolean).join(" ")]];
      }),
    );
    return subnetsAreKept(this.#remembered, { files: subnetsInFiles(status), store });
  }

  async #lookAtClaims(): Promise<Finding> {
    const { hosts } = await this.#lab.status({});
    const claims = hosts.map(({ name, publicIps, subnets, state }) => ({
      host: name,
      publicIps,
      subnets,
      agentRuns: state === "starting" || state === "ready",
    }));
    return nobodyRunsOnAnothersLease(claims, await this.#leases());
  }

  async #leases(): Promise<LeaseDetails[]> {
    const { entries } = await this.#lab.readStore({ prefix: SUBNETS_PREFIX });
    return leaseDetails(entries);
  }
}

function subnetsInFiles(status: LabStatus): SubnetsByHost {
  return new Map(status.hosts.map((host) => [host.name, host.subnets.join(" ")]));
}

function perFamily(addresses: readonly string[]): Partial<Record<IpFamily, string>> {
  return Object.fromEntries(
    addresses.map((address) => [address.includes(":") ? "ipv6" : "ipv4", address]),
  );
}

function hostName(node: number): string {
  return `n${node}`;
}

function done(): Finding {
  return { verdict: "pass", details: [] };
}
