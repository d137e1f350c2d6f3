import { LabError } from "../errors.ts";
import { type Clock, type Deadline, poll } from "../system/clock.ts";
import type { EndpointPlan } from "../topology.ts";
import { Etcd } from "./etcd.ts";
import { EtcdGateway, type MemberStatus, NO_LEADER } from "./gateway.ts";

const HEALTH_POLL_MS = 10;

/** Which member a fault strikes: the one that leads, one that follows, or one by its number from 1. */
export const MEMBER_WORDS = ["leader", "follower", "1", "2", "3", "4", "5"] as const;

/** Is told before all members stop for data of before, and when they serve them. */
export interface RollBackObserver {
  rollBackBegins(): Promise<void>;
  rollBackEnded(): Promise<void>;
}

/** The store of a lab: one etcd, or a cluster of them. */
export class Store {
  readonly members: readonly Etcd[];
  /** Asks a member that answers. */
  readonly gateway: EtcdGateway;
  #observer: RollBackObserver | undefined;

  private constructor(members: readonly Etcd[]) {
    this.members = members;
    this.gateway = new EtcdGateway(() => {
      const answering = members.filter(({ answers, isIsolated }) => answers && !isIsolated);
      return (answering.length === 0 ? members : answering).map(({ endpoint }) => endpoint);
    });
  }

  /** Makes the namespaces and links; the links are not plugged in. */
  static async open(
    plans: readonly EndpointPlan[],
    runDirectory: string,
    manner: { readonly logsRequests: boolean },
  ): Promise<Store> {
    return new Store(
      await Promise.all(plans.map((plan) => Etcd.open(plan, { plans, runDirectory, ...manner }))),
    );
  }

  observeRollBacks(observer: RollBackObserver): void {
    this.#observer = observer;
  }

  /** Starts the members that do not run, and waits until all are healthy. @throws LabError "lab-broke" with the end of a log */
  async start(clock: Clock, deadline: Deadline, signal: AbortSignal): Promise<void> {
    await Promise.all(
      this.members.filter(({ pid }) => pid === undefined).map((member) => member.start()),
    );
    await this.#waitHealthy(this.members, { clock, deadline, signal });
  }

  /** Starts one member, and waits until all that run are healthy. @throws LabError "lab-broke" with the end of its log */
  async startMember(member: Etcd, waiting: Waiting): Promise<void> {
    if (member.pid === undefined) {
      await member.start();
    }
    await this.#waitHealthy([member], waiting);
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()));
  }

  /**
   * Every member that runs is healthy, all have the same leader, and one runs. One that was away can say that it is healthy
   * and still be wrong about the leader: what it is asked then is lost.
   */
  async isHealthy(): Promise<boolean> {
    const running = this.members.filter(({ pid }) => pid !== undefined);
    const found = await Promise.all(
      running.map(async ({ endpoint }) =>
        (await this.gateway.isHealthyAt(endpoint))
          ? (await this.gateway.status(endpoint))?.leader
          : undefined,
      ),
    );
    const [leader = NO_LEADER] = found;
    return leader !== NO_LEADER && found.every((one) => one === leader);
  }

  /** The same, and every member runs. */
  async isWhole(): Promise<boolean> {
    return this.members.every(({ pid }) => pid !== undefined) && this.isHealthy();
  }

  /** What a member says of itself and its leader; undefined while it does not answer. */
  async statusOf(member: Etcd): Promise<MemberStatus | undefined> {
    return member.answers ? this.gateway.status(member.endpoint) : undefined;
  }

  /**
   * The member that a word means, as things are now; of several followers the one that has most of what its leader wrote.
   * @throws LabError "wrong-state" when there is no such member, or nobody leads
   */
  async memberMeant(word: string): Promise<Etcd> {
    const number = Number(word);
    const found = Number.isInteger(number)
      ? this.members[number - 1]
      : await this.#memberInRole(word === "leader");
    if (found === undefined) {
      const why = Number.isInteger(number) ? `there are ${this.members.length}` : "nobody is";
      throw new LabError("wrong-state", `the store has no member ${word}: ${why}`);
    }
    return found;
  }

  async #memberInRole(leads: boolean): Promise<Etcd | undefined> {
    const answers = await Promise.all(
      this.members.map(async (member) => ({ member, status: await this.statusOf(member) })),
    );
    const running = answers.flatMap(({ member, status }) =>
      status === undefined ? [] : [{ member, ...status }],
    );
    const leader = running.find((one) => one.leader === one.memberId);
    // One that is cut off from the leader does not follow it.
    const followers = running.filter((one) => one !== leader && one.leader === leader?.memberId);
    const [foremost] = followers.toSorted((a, b) => b.appliedIndex - a.appliedIndex);
    return (leads ? leader : foremost)?.member;
  }

  /** A copy of what all members have. They are away for a moment. */
  async backUp(waiting: Waiting): Promise<void> {
    await this.stop();
    this.members.forEach((member) => {
      member.backUp();
    });
    await this.start(waiting.clock, waiting.deadline, waiting.signal);
  }

  /** All members start anew with what they had at the last `backUp`. */
  async rollBack(waiting: Waiting): Promise<void> {
    await this.#observer?.rollBackBegins();
    await this.stop();
    this.members.forEach((member) => {
      member.restore();
    });
    await this.start(waiting.clock, waiting.deadline, waiting.signal);
    await this.#observer?.rollBackEnded();
  }

  async #waitHealthy(
    started: readonly Etcd[],
    { clock, deadline, signal }: Waiting,
  ): Promise<void> {
    const broken = (): Etcd | undefined => started.find(({ trouble }) => trouble !== undefined);
    const healthy = await poll(clock, { everyMs: HEALTH_POLL_MS, deadline, signal }, async () =>
      broken() === undefined ? (await this.isHealthy()) || undefined : false,
    );
    if (healthy !== true) {
      const late = new LabError("lab-broke", "etcd does not answer in time");
      throw broken()?.trouble ?? started[0]?.complaint("does not answer in time") ?? late;
    }
  }
}

export interface Waiting {
  readonly clock: Clock;
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
}
