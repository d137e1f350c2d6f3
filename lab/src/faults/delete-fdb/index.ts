import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtPeer, removal, PEER } from "../peer-objects.ts";

export const deleteFdb: AnyFault = defineFault({
  name: "delete-fdb",
  summary: "Takes the FDB entry of a peer away.",
  place: "host",
  parameters: PEER,
  ...removal("fdb"),
  aim: (site, { parameters }) => aimAtPeer(site, "fdb", parameters["peer"] ?? ""),
});
