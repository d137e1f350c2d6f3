import { KernelEvents, type KernelEventsOptions } from "./kernel-events.ts";
import type { MessageReader } from "./message-reader.ts";

/** Source: linux/netlink.h */
export const NETLINK_NETFILTER = 12;
/** Source: linux/netfilter/nfnetlink.h NFNLGRP_NFTABLES */
const NFNLGRP_NFTABLES = 7;
/** In the upper byte of a message's type. Source: linux/netfilter/nfnetlink.h */
export const NFNL_SUBSYS_NFTABLES = 10;
/** Family, version and a resource number come before the attributes. Source: linux/netfilter/nfnetlink.h struct nfgenmsg */
export const NFGENMSG_BYTES = 4;

/** What changed and whether it is gone, by the lower byte of a message's type. Source: linux/netfilter/nf_tables.h enum nf_tables_msg_types */
const MESSAGES: ReadonlyMap<number, Pick<NftablesEvent, "kind" | "object">> = new Map([
  [0, { kind: "put", object: "table" }],
  [2, { kind: "remove", object: "table" }],
  [3, { kind: "put", object: "chain" }],
  [5, { kind: "remove", object: "chain" }],
  [6, { kind: "put", object: "rule" }],
  [8, { kind: "remove", object: "rule" }],
]);

/** The same number in NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and NFTA_RULE_TABLE. Source: linux/netfilter/nf_tables.h */
const TABLE_ATTRIBUTE = 1;
const CHAIN_ATTRIBUTE = { table: undefined, chain: 3, rule: 2 } as const;

/** Source: linux/netfilter.h NFPROTO_… */
const FAMILIES: ReadonlyMap<number, string> = new Map([
  [1, "inet"],
  [2, "ip"],
  [3, "arp"],
  [5, "netdev"],
  [7, "bridge"],
  [10, "ip6"],
]);

/** A table, a chain or a rule that came, changed or went. */
export interface NftablesEvent {
  readonly kind: "put" | "remove";
  readonly object: "table" | "chain" | "rule";
  /** As nft names it; a number where it has no name. */
  readonly family: string;
  readonly table: string;
  /** Of a chain or a rule. */
  readonly chain?: string;
}

/** Changes of tables, chains and rules of one network namespace. Equivalent to `nft monitor`. */
export class NftablesEvents extends KernelEvents<NftablesEvent> {
  /** @throws NetlinkError when there is no such namespace, no right to enter it, or no nf_tables in the kernel */
  static open(options: KernelEventsOptions = {}): NftablesEvents {
    const what = "changes of nftables";
    return new NftablesEvents(
      { protocol: NETLINK_NETFILTER, groups: [NFNLGRP_NFTABLES], what, decode: decodeNftables },
      options,
    );
  }
}

/** @throws CodecError */
export function decodeNftables(message: MessageReader): NftablesEvent | undefined {
  if (message.type >> 8 !== NFNL_SUBSYS_NFTABLES) return undefined;
  const what = MESSAGES.get(message.type & 0xff);
  if (what === undefined) return undefined;
  const number = message.u8(0);
  const family = FAMILIES.get(number) ?? String(number);
  const chainAttribute = CHAIN_ATTRIBUTE[what.object];
  let table = "";
  let chain: string | undefined;
  const attribute = message.attributes(NFGENMSG_BYTES);
  while (attribute.next()) {
    if (attribute.type === TABLE_ATTRIBUTE) table = attribute.text();
    else if (attribute.type === chainAttribute) chain = attribute.text();
  }
  return { ...what, family, table, ...(chain === undefined ? {} : { chain }) };
}
