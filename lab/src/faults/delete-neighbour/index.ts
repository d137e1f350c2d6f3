import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtPeer, removal, PEER } from "../peer-objects.ts";

export const deleteNeighbour: AnyFault = defineFault({
  name: "delete-neighbour",
  summary: "Takes the neighbour entry of a peer away.",
  place: "host",
  parameters: PEER,
  ...removal("neighbour"),
  aim: (site, { parameters }) => aimAtPeer(site, "neighbour", parameters["peer"] ?? ""),
});
