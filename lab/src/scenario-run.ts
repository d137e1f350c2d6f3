import type { IpFamily } from "./addresses.ts";
import { kernelEqualsLeases } from "./checks/kernel-equals-leases.ts";
import { noPacketLost } from "./checks/no-packet-lost.ts";
import { podsReachEachOther } from "./checks/pods-reach-each-other.ts";
import { type SubnetsByHost, subnetsAreKept } from "./checks/subnets-are-kept.ts";
import { type Finding, unknown } from "./checks/verdict.ts";
import { LabError } from "./errors.ts";
import type { Lab, LabStatus } from "./lab.ts";
import { readHostKernel } from "./observe/kernel-state.ts";
import { type Probe, startProbe } from "./observe/probe.ts";
import { STORE_PREFIX } from "./observe/leases.ts";
import { type LeaseDetails, leaseDetails } from "./observe/lease-details.ts";
import type { LabWishes } from "./options.ts";
import type { Expectation, Scenario, Step, Variant } from "./scenario.ts";
import type { Clock } from "./system/clock.ts";

/** A lab that is up, and what ends it. */
export interface OpenLab extends AsyncDisposable {
  readonly lab: Lab;
}

export interface ScenarioDeps {
  readonly clock: Clock;
  /** Brings a lab up with all agents ready; pods need not reach each other yet. */
  readonly openLab: (wishes: LabWishes) => Promise<OpenLab>;
  readonly onStep?: (step: StepResult) => void;
}

export interface StepResult {
  readonly step: Step;
  readonly finding: Finding;
  /** From the start of the step to its finding. */
  readonly ms: number;
}

export interface ScenarioResult {
  readonly scenario: string;
  readonly variant: Variant;
  readonly verdict: Finding["verdict"];
  readonly steps: readonly StepResult[];
  /** Bringing the lab up included. */
  readonly ms: number;
}

/** How often an expectation looks again until its time is over. */
const LOOK_EVERY_MS = 100;
const AGENT_READY_WITHIN_MS = 20_000;
/** Invariant E4. */
const STOP_WITHIN_MS = 2_000;
const SUBNETS_PREFIX = `${STORE_PREFIX}/subnets/`;

/** Acts a scenario out in a lab of its own. The first step that does not pass ends it; a lab that broke makes it unknown. */
export async function runScenario(
  scenario: Scenario,
  variant: Variant,
  deps: ScenarioDeps,
): Promise<ScenarioResult> {
  const startedMs = deps.clock.nowMs();
  const steps: StepResult[] = [];
  try {
    await using open = await deps.openLab(wishesOf(scenario, variant));
    await using stage = new Stage(open.lab, variant, scenario.nodes, deps.clock);
    for (const step of scenario.steps) {
      const stepStartedMs = deps.clock.nowMs();
      const finding = await stage.play(step);
      const result = { step, finding, ms: deps.clock.nowMs() - stepStartedMs };
      steps.push(result);
      deps.onStep?.(result);
      if (finding.verdict !== "pass") {
        break;
      }
    }
  } catch (error) {
    if (!(error instanceof LabError)) {
      throw error;
    }
    const step = scenario.steps[steps.length];
    if (step !== undefined) {
      steps.push({ step, finding: findingOf(error), ms: 0 });
    }
  }
  return {
    scenario: scenario.name,
    variant,
    verdict: verdictOf(scenario, steps),
    steps,
    ms: deps.clock.nowMs() - startedMs,
  };
}

/** An agent that does not get ready and pods that stay apart are failures of the agent; anything else says nothing of it. */
function findingOf(error: LabError): Finding {
  const verdict = error.code === "timed-out" || error.code === "unreachable" ? "fail" : "unknown";
  return { verdict, details: [error.message, ...error.evidence] };
}

/** Pass only if every step was played and passed (invariant F6). */
function verdictOf(scenario: Scenario, steps: readonly StepResult[]): Finding["verdict"] {
  const verdicts = steps.map((step) => step.finding.verdict);
  if (verdicts.includes("fail")) {
    return "fail";
  }
  const complete = steps.length === scenario.steps.length && steps.length > 0;
  return complete && verdicts.every((verdict) => verdict === "pass") ? "pass" : "unknown";
}

function wishesOf(scenario: Scenario, variant: Variant): LabWishes {
  return {
    nodes: scenario.nodes,
    segments: variant.segments,
    backend: variant.backend,
    backendOptions: variant.backendOptions ?? {},
    dualStack: variant.family === "dual",
    expect: variant.reach ?? "all",
  };
}

/** A running scenario: the lab, what was remembered, the probes that run. */
class Stage implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #variant: Variant;
  readonly #clock: Clock;
  #lastNode: number;
  #remembered: SubnetsByHost | undefined;
  #running: readonly Probe[] = [];
  #stopped: readonly Awaited<ReturnType<Probe["stop"]>>[] = [];

  constructor(lab: Lab, variant: Variant, nodes: number, clock: Clock) {
    this.#lab = lab;
    this.#variant = variant;
    this.#lastNode = nodes;
    this.#clock = clock;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stopProbes();
  }

  async play(step: Step): Promise<Finding> {
    if ("expect" in step) {
      return this.#expect(step.expect, step.withinMs);
    }
    if ("probe" in step) {
      if (step.probe === "stop") {
        await this.#stopProbes();
      } else {
        this.#running = await this.#startProbes(hostName(step.from), hostName(step.to));
      }
      return done();
    }
    if ("fault" in step) {
      return this.#endAgent(
        hostName(step.node),
        step.fault === "kill-agent" ? "SIGKILL" : "SIGTERM",
      );
    }
    switch (step.act) {
      case "start-agent":
        await this.#lab.startAgent({ host: hostName(step.node) });
        return this.#ready(hostName(step.node));
      case "add-node": {
        const host = hostName(++this.#lastNode);
        await this.#lab.addHost({ host });
        return this.#ready(host);
      }
      case "remove-node":
        await this.#lab.removeHost({ host: hostName(step.node) });
        return done();
      case "remember-subnets":
        this.#remembered = subnetsInFiles(await this.#lab.status({}));
        return done();
    }
  }

  async #endAgent(host: string, signal: "SIGKILL" | "SIGTERM"): Promise<Finding> {
    const after = await this.#lab.killAgent({ host, signal, timeoutMs: STOP_WITHIN_MS });
    // The fault counts only if it was seen.
    return after.agentPid === undefined
      ? done()
      : unknown(`${host}: the agent still runs after ${signal}`);
  }

  async #ready(host: string): Promise<Finding> {
    await this.#lab.waitReady({ hosts: [host], timeoutMs: AGENT_READY_WITHIN_MS });
    return done();
  }

  async #startProbes(from: string, to: string): Promise<readonly Probe[]> {
    const { hosts } = await this.#lab.status({});
    const targets = hosts.find((host) => host.name === to)?.podIps ?? [];
    return targets.map((address) => startProbe(this.#lab, from, address));
  }

  async #stopProbes(): Promise<void> {
    const running = this.#running;
    this.#running = [];
    if (running.length > 0) {
      this.#stopped = await Promise.all(running.map((probe) => probe.stop()));
    }
  }

  /** Looks until the expectation passes or its time is over; the last look counts. */
  async #expect(expectation: Expectation, withinMs: number): Promise<Finding> {
    const endMs = this.#clock.nowMs() + withinMs;
    for (;;) {
      const finding = await this.#look(expectation);
      if (finding.verdict === "pass" || this.#clock.nowMs() >= endMs) {
        return finding;
      }
      await this.#clock.sleep(LOOK_EVERY_MS);
    }
  }

  async #look(expectation: Expectation): Promise<Finding> {
    switch (expectation) {
      case "pods-reach-each-other":
        return podsReachEachOther(await this.#lab.ping({ count: 1 }));
      case "kernel-equals-leases":
        return this.#lookAtKernels();
      case "subnets-are-kept":
        return this.#lookAtSubnets();
      case "no-packet-lost":
        return noPacketLost(this.#stopped);
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
    const families: readonly IpFamily[] =
      this.#variant.family === "dual" ? ["ipv4", "ipv6"] : ["ipv4"];
    return kernelEqualsLeases(
      {
        backend: this.#variant.backend,
        directRouting: this.#variant.backendOptions?.["DirectRouting"] === true,
        segmentLengths: { ipv4: 24, ipv6: 64 },
        families,
      },
      await this.#leases(),
      views,
    );
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
