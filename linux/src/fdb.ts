import { AF_BRIDGE } from "./ip.ts";
import { formatMac } from "./mac.ts";
import type { MessageReader } from "./message-reader.ts";
import type { MessageWriter } from "./message-writer.ts";
import {
  NDA_DST,
  NDA_LLADDR,
  NEIGHBOUR_HEADER_BYTES,
  type NeighbourStateName,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
  encodeNeighbourHeader,
  stateName,
  stateNumber,
} from "./neighbour.ts";
import {
  ADD,
  type Codec,
  NLM_F_REQUEST,
  ObjectRequest,
  PUT,
  type Request,
  words,
} from "./request.ts";

/** Source: linux/neighbour.h */
const NDA_VLAN = 5;
const NDA_MASTER = 9;
const NTF_SELF = 0x02;

/** An entry in a link's own forwarding table; on a vxlan link: a MAC and the public IP behind it. */
export interface FdbEntry {
  readonly linkIndex: number;
  readonly mac: string;
  /** Where frames for the MAC are sent (vxlan). */
  readonly destination?: string;
  /** `permanent` when absent. */
  readonly state?: NeighbourStateName;
}

/** An FDB entry as the kernel reports it. */
export interface FdbEntryState extends FdbEntry {
  readonly state: NeighbourStateName;
  /** In the link's own table, and not in that of the bridge it is a port of. */
  readonly self: boolean;
  readonly masterIndex?: number;
  readonly vlan?: number;
}

function encodeEntry(writer: MessageWriter, entry: FdbEntry, state: number): void {
  encodeNeighbourHeader(writer, {
    family: AF_BRIDGE,
    linkIndex: entry.linkIndex,
    state,
    flags: NTF_SELF,
    type: 0,
  });
  if (entry.destination !== undefined) writer.ipAttribute(NDA_DST, entry.destination);
  writer.macAttribute(NDA_LLADDR, entry.mac);
}

const CODEC: Codec<FdbEntry> = {
  describe: (verb, { mac, linkIndex, destination }) =>
    words(`${verb} fdb ${mac} dev ${linkIndex}`, ["dst", destination]),
  encode(writer, entry, messageType) {
    const state = stateNumber(entry.state ?? "permanent");
    encodeEntry(writer, entry, messageType === RTM_DELNEIGH ? 0 : state);
  },
};

/** Equivalent to `bridge fdb add MAC dev LINK dst IP self permanent`. */
export function addFdbEntry(entry: FdbEntry): Request {
  return new ObjectRequest(CODEC, RTM_NEWNEIGH, ADD, entry);
}

/** Equivalent to `bridge fdb replace MAC dev LINK dst IP self permanent`. */
export function putFdbEntry(entry: FdbEntry): Request {
  return new ObjectRequest(CODEC, RTM_NEWNEIGH, PUT, entry);
}

/** Equivalent to `bridge fdb delete MAC dev LINK dst IP self`. */
export function removeFdbEntry(entry: FdbEntry): Request {
  return new ObjectRequest(CODEC, RTM_DELNEIGH, NLM_F_REQUEST, entry);
}

/** Which entries to dump; the kernel filters. */
export interface FdbFilter {
  readonly linkIndex?: number;
}

export function encodeFdbFilter(writer: MessageWriter, filter: FdbFilter): void {
  const linkIndex = filter.linkIndex ?? 0;
  encodeNeighbourHeader(writer, { family: AF_BRIDGE, linkIndex, state: 0, flags: 0, type: 0 });
}

/** Reads RTM_NEWNEIGH and RTM_DELNEIGH; undefined for what is no FDB entry. @throws CodecError */
export function decodeFdbEntry(message: MessageReader): FdbEntryState | undefined {
  if (message.u8(0) !== AF_BRIDGE) return undefined;
  let mac: string | undefined;
  let destination: string | undefined;
  let masterIndex: number | undefined;
  let vlan: number | undefined;
  const attribute = message.attributes(NEIGHBOUR_HEADER_BYTES);
  while (attribute.next()) {
    if (attribute.type === NDA_LLADDR) mac = formatMac(attribute.content());
    else if (attribute.type === NDA_DST) destination = attribute.ip();
    else if (attribute.type === NDA_MASTER) masterIndex = attribute.u32();
    else if (attribute.type === NDA_VLAN) vlan = attribute.u16();
  }
  // A multicast group entry of a bridge has no MAC.
  if (mac === undefined) return undefined;
  return {
    linkIndex: message.u32(4),
    mac,
    ...(destination === undefined ? {} : { destination }),
    state: stateName(message.u16(8)),
    self: (message.u8(10) & NTF_SELF) !== 0,
    ...(masterIndex === undefined ? {} : { masterIndex }),
    ...(vlan === undefined ? {} : { vlan }),
  };
}
