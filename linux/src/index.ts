/** Linux's own interfaces for Node. Values are plain and read-only; see README.md. */
export { AddonError } from "./addon.ts";
export {
  type Address,
  type AddressFilter,
  type AddressState,
  SCOPE,
  addAddress,
  putAddress,
  removeAddress,
} from "./address.ts";
export { type Capability, NEEDS, type Need, capability } from "./capability.ts";
export { sendDatagram } from "./datagram.ts";
export {
  DelayLine,
  type DelayLineCounts,
  type DelayLineOptions,
  type FrameFate,
} from "./delay-line.ts";
export { CodecError, NetlinkError } from "./errors.ts";
export {
  type FdbEntry,
  type FdbEntryState,
  type FdbFilter,
  addFdbEntry,
  putFdbEntry,
  removeFdbEntry,
} from "./fdb.ts";
export { lockFile } from "./file-lock.ts";
export type { Family } from "./ip.ts";
export { digestLegacyTables } from "./legacy-tables.ts";
export {
  type Link,
  type LinkChanges,
  type LinkFilter,
  type LinkReference,
  type LinkSettings,
  type NamespaceReference,
  type NewLink,
  type VethPeer,
  addLink,
  changeLink,
  removeLink,
} from "./link.ts";
export { type NftablesEvent, NftablesEvents } from "./nftables-events.ts";
export { NftablesGeneration } from "./nftables-generation.ts";
export { NetworkNamespace, createNamedNamespace, removeNamedNamespace } from "./namespaces.ts";
export {
  type Neighbour,
  type NeighbourEntry,
  type NeighbourFilter,
  type NeighbourStateName,
  addNeighbour,
  putNeighbour,
  removeNeighbour,
} from "./neighbour.ts";
export {
  type Nexthop,
  type NexthopFilter,
  type NexthopMember,
  type NexthopState,
  addNexthop,
  putNexthop,
  removeNexthop,
} from "./nexthop.ts";
export { type CapturedPacket, PacketRing, type PacketRingOptions } from "./packet-ring.ts";
export type { Request } from "./request.ts";
export {
  type RouteEvent,
  RouteEvents,
  type RouteEventsOptions,
  type WatchedKind,
} from "./route-events.ts";
export type { RouteHop } from "./route-hop.ts";
export type { RouteLookup } from "./route-lookup.ts";
export { type Refusal, RouteSocket, type RouteSocketOptions } from "./route-socket.ts";
export {
  BOOT_PROTOCOL,
  MAIN_TABLE,
  type Route,
  type RouteFilter,
  type RouteState,
  type RouteType,
  addRoute,
  putRoute,
  removeRoute,
} from "./route.ts";
export { type UdpSocketOptions, openUdpSocket } from "./udp-socket.ts";
export { type PingSocketOptions, openPingSocket } from "./ping-socket.ts";
export type { Vxlan } from "./vxlan.ts";
