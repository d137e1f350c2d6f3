import { parseAddress } from "./addresses.ts";
import type { ProbeRecord } from "./checks/no-packet-lost.ts";
import { LabError } from "./errors.ts";
import type { LabHost } from "./hosts/host.ts";
import { evidenceOf } from "./hosts/readiness.ts";
import { failedPairs, type PingMatrix, type PingRequest } from "./lab.ts";
import type { LabHosts } from "./lab-hosts.ts";
import {
  type PingEnd,
  planPings,
  runPings,
  sampled,
  WHOLE_MESH_HOSTS,
} from "./observe/ping-matrix.ts";
import { askUntilAnswered } from "./observe/pod-echo.ts";
import { PodProbe } from "./observe/pod-probe.ts";
import { unreachable } from "./observe/unreachable.ts";
import type { LabOptions } from "./options.ts";
import type { Clock, Deadline } from "./system/clock.ts";

const PING_WAIT_MS = 1000;

/** Pings between the pods of a lab, and the one probe. */
export class LabPings {
  readonly #options: LabOptions;
  readonly #clock: Clock;
  readonly #hosts: LabHosts;
  #probe: PodProbe | undefined;

  constructor(options: LabOptions, clock: Clock, hosts: LabHosts) {
    this.#options = options;
    this.#clock = clock;
    this.#hosts = hosts;
  }

  async ping(request: PingRequest): Promise<PingMatrix> {
    const ends = this.#ends();
    const families = request.families ?? this.#options.families;
    const plans = planPings(ends, families, (from, to) => isExpected(this.#options, from, to));
    const effort = { count: request.count ?? 1, waitMs: PING_WAIT_MS };
    return {
      hosts: ends.map(({ name }) => name),
      pairs: await runPings(plans, effort, this.#clock),
    };
  }

  /** @throws LabError "unreachable" naming the pairs that do not answer */
  async waitReachable(deadline: Deadline, signal: AbortSignal): Promise<PingMatrix> {
    const { families } = this.#options;
    const makePlans = (): ReturnType<typeof planPings> =>
      sampled(planPings(this.#ends(), families, (from, to) => isExpected(this.#options, from, to)));
    const pairs = await askUntilAnswered(makePlans, this.#clock, deadline, signal);
    const hosts = this.#ends().map(({ name }) => name);
    const matrix = { hosts, pairs, isSample: hosts.length > WHOLE_MESH_HOSTS };
    const [first] = failedPairs(matrix);
    if (first !== undefined) {
      throw unreachable(matrix, evidenceOf(this.#hosts.named(first.from)));
    }
    return matrix;
  }

  /** @throws LabError "wrong-state" where there is no pod to send from, or a probe that runs */
  async startProbe({ from, to }: { readonly from: string; readonly to: string }): Promise<void> {
    const pid = this.#hosts.named(from).podAnchor?.pid;
    if (pid === undefined || this.#probe !== undefined) {
      const why = pid === undefined ? `${from} has no pod` : "a probe runs already";
      throw new LabError("wrong-state", why);
    }
    const addresses = this.#hosts.named(to).podIps;
    this.#probe = await PodProbe.start(this.#clock, { name: from, pid }, addresses);
  }

  async stopProbe(packets: number): Promise<readonly ProbeRecord[]> {
    const probe = this.#probe;
    this.#probe = undefined;
    return (await probe?.stop(packets)) ?? [];
  }

  #ends(): PingEnd[] {
    return [...this.#hosts.byName.values()]
      .toSorted((a, b) => a.plan.index - b.plan.index)
      .map(endOf);
  }
}

/** Whether the lab's topology lets two hosts' pods reach each other. */
export function isExpected(
  { expect }: Pick<LabOptions, "expect">,
  from: { readonly segment: number },
  to: { readonly segment: number },
): boolean {
  return expect === "all" || (expect === "same-segment" && from.segment === to.segment);
}

function endOf(host: LabHost): PingEnd {
  return {
    name: host.name,
    segment: host.plan.segment,
    addresses: host.podIps.flatMap((address) => {
      const family = parseAddress(address)?.family;
      return family === undefined ? [] : [{ family, address }];
    }),
    pid: host.podAnchor?.pid,
  };
}
