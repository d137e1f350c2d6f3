/** What the agent tells others about this node, kept as it is now: subnet.env for pods, the lease for peers. */
import type { Backend } from "./backends/backend.ts";
import { AgentError } from "./core/errors.ts";
import { FAMILIES } from "./core/ip.ts";
import type { Latest } from "./core/latest.ts";
import { firstOf } from "./core/latest.ts";
import { equalAttributes } from "./core/lease.ts";
import type { Lease, LeaseAttributes } from "./core/lease.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import { formatSubnetFile } from "./core/subnet-file.ts";
import type { SubnetManager } from "./subnet-manager/subnet-manager.ts";
import type { Clock } from "./system/clock.ts";
import type { Files } from "./system/files.ts";
import type { Log } from "./system/log.ts";

/** Source: spec 01 section 6.1. */
const SUBNET_FILE_MODE = 0o644;
const SUBNET_FILE_RETRY_MS = 1_000;
const SUBNET_FILE_MENTION_MS = 60_000;
/** How soon it is looked again whether an address that another lease has is free: at once where two nodes exchange theirs, then seldom. */
const RIVAL_MS_MIN = 500;
const RIVAL_MS_MAX = 10_000;

export interface Publisher {
  readonly files: Files;
  readonly subnetManager: SubnetManager;
  readonly clock: Clock;
  readonly log: Log;
  readonly subnetFile: string;
  readonly config: NetworkConfig;
  /** Whether this node masquerades its pods' packets, which others then need not. */
  readonly ipMasq: boolean;
  /** As it was acquired. */
  readonly lease: Lease;
  /** The backend for the external interface as it is. */
  readonly present: Latest<Backend>;
  /** Set whenever it was looked at the machine, every ten seconds at least (invariant D11). */
  readonly looks: Latest<undefined>;
  /** Told of the lease that has our public address, and when there is none any more. */
  readonly onRival: (rival: Lease | undefined) => void;
}

/** Writes subnet.env, again and again until it is written: without it no pod can start. */
export async function writeSubnetFile(
  publisher: Publisher,
  { mtu }: Pick<Backend, "mtu">,
  signal: AbortSignal,
): Promise<void> {
  const { files, clock, log, subnetFile } = publisher;
  const text = subnetFileText(publisher, mtu);
  for (let said = false; ; said = true) {
    try {
      await files.writeAtomically(subnetFile, text, SUBNET_FILE_MODE);
      log.info({}, `Wrote subnet file to ${subnetFile}`);
      return;
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      if (!said)
        log.error({ err: error }, "Failed to write subnet file: trying again every second");
      await clock.sleep(SUBNET_FILE_RETRY_MS, signal);
    }
  }
}

function subnetFileText({ config, lease, ipMasq }: Publisher, mtu: number): string {
  return formatSubnetFile({ config, subnets: lease.subnets, mtu, ipMasq });
}

/** Writes subnet.env anew whenever another MTU is good, or somebody deleted or altered it. @param written what was written before */
export async function keepSubnetFile(
  publisher: Publisher,
  written: Pick<Backend, "mtu">,
  signal: AbortSignal,
): Promise<never> {
  const { clock, log, looks } = publisher;
  let { mtu } = written;
  let saidMs = Number.NEGATIVE_INFINITY;
  return forEach(publisher.present, signal, async (backend, stop) => {
    for (;;) {
      const { version } = looks;
      const trouble = await subnetFileTrouble(publisher, mtu);
      // Whoever alters it again and again is not answered with as many lines.
      const isSaid = trouble !== undefined && clock.nowMs() - saidMs >= SUBNET_FILE_MENTION_MS;
      if (isSaid) {
        log.warn({}, trouble);
        saidMs = clock.nowMs();
      }
      if (trouble !== undefined || backend.mtu !== mtu)
        await writeSubnetFile(publisher, backend, stop);
      ({ mtu } = backend);
      await looks.changedSince(version, stop);
    }
  });
}

/** What somebody else did to the file; undefined while it is as it was written. */
async function subnetFileTrouble(publisher: Publisher, mtu: number): Promise<string | undefined> {
  const { files, subnetFile } = publisher;
  try {
    const text = await files.read(subnetFile);
    if (text === subnetFileText(publisher, mtu)) return undefined;
    return `somebody ${text === undefined ? "deleted" : "altered"} ${subnetFile}: writing it again`;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    return `${error.message}: writing it again`;
  }
}

/** Publishes what this node is whenever that changes, looking again as long as another lease has its address. */
export async function keepPublished(publisher: Publisher, signal: AbortSignal): Promise<never> {
  const { subnetManager, clock, lease } = publisher;
  let asked: LeaseAttributes = lease;
  let rival: Lease | undefined;
  return forEach(publisher.present, signal, async ({ attributes }, stop) => {
    if (equalAttributes(attributes, asked) && rival === undefined) return;
    asked = attributes;
    let waitMs = RIVAL_MS_MIN;
    for (let said: Lease | undefined; ; said = rival) {
      rival = await subnetManager.publish(attributes, stop);
      publisher.onRival(rival);
      if (rival === undefined) return;
      if (said === undefined) complain(publisher, attributes, rival);
      await clock.sleep(waitMs, stop);
      waitMs = Math.min(2 * waitMs, RIVAL_MS_MAX);
    }
  });
}

function complain({ log }: Publisher, { publicIps }: LeaseAttributes, rival: Lease): void {
  const shared = FAMILIES.flatMap((family) => {
    const { [family]: publicIp } = publicIps;
    return publicIp !== undefined && publicIp === rival.publicIps[family] ? [publicIp] : [];
  });
  log.error(
    { subnets: rival.subnets },
    `our new public IP ${shared.join(" and ")} is that of the lease of ${Object.values(rival.subnets).join(" ")}: peers send us nothing until it gives that up; if that node is gone, delete its lease from the store, else give each node an address of its own or a --public-ip`,
  );
}

/** Works on the newest value; a newer one ends what is still done for the one before. */
async function forEach<Value>(
  latest: Latest<Value>,
  signal: AbortSignal,
  work: (value: Value, signal: AbortSignal) => Promise<void>,
): Promise<never> {
  for (;;) {
    const { version, value } = latest;
    await firstOf(signal, [
      async (stop) => {
        if (value !== undefined) await work(value, stop);
        await latest.changedSince(version, stop);
      },
      (stop) => latest.changedSince(version, stop),
    ]);
  }
}
