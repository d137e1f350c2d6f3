/** What a node says in its lease when that changes while it runs, a public address above all. */
import { FAMILIES, type Family, type Ip } from "../../core/ip.ts";
import type { Lease, LeaseAttributes } from "../../core/lease.ts";

/** What is to be published from now on. */
export interface Publication {
  readonly attributes: LeaseAttributes;
  /** Called when the store has it, or with the lease of a node that has a public address of it. */
  answer(rival: Lease | undefined): void;
}

/**
 * An address under which another lease is stays unpublished, since one address is one node (invariant A3). Nor does the former one stand
 * in its family, which is ours no more and perhaps what the other node waits for: the lease names none until the address is free. The
 * first such lease is the rival.
 */
export function planPublication(
  published: LeaseAttributes,
  wanted: LeaseAttributes,
  others: readonly Lease[],
): { readonly attributes: LeaseAttributes; readonly rival: Lease | undefined } {
  const publicIps: Partial<Record<Family, Ip>> = { ...wanted.publicIps };
  let rival: Lease | undefined;
  for (const family of FAMILIES) {
    const { [family]: before } = published.publicIps;
    const { [family]: now } = wanted.publicIps;
    if (now === undefined || now === before) continue;
    const owner = others.find((other) => other.publicIps[family] === now);
    if (owner === undefined) continue;
    rival ??= owner;
    delete publicIps[family];
  }
  return { attributes: { ...wanted, publicIps }, rival };
}
