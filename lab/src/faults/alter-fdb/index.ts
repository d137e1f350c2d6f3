import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtPeer, alteration, PEER } from "../peer-objects.ts";

export const alterFdb: AnyFault = defineFault({
  name: "alter-fdb",
  summary: "Gives the FDB entry of a peer another destination.",
  place: "host",
  parameters: PEER,
  ...alteration("fdb"),
  aim: (site, { parameters }) => aimAtPeer(site, "fdb", parameters["peer"] ?? ""),
});
