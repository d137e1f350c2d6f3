import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtPeer, alteration, PEER } from "../peer-objects.ts";

export const alterNeighbour: AnyFault = defineFault({
  name: "alter-neighbour",
  summary: "Gives the neighbour entry of a peer another MAC.",
  place: "host",
  parameters: PEER,
  ...alteration("neighbour"),
  aim: (site, { parameters }) => aimAtPeer(site, "neighbour", parameters["peer"] ?? ""),
});
