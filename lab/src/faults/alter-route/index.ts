import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtPeer, alteration, PEER } from "../peer-objects.ts";

export const alterRoute: AnyFault = defineFault({
  name: "alter-route",
  summary: "Turns the route to a peer to another gateway, as another program might.",
  place: "host",
  parameters: PEER,
  ...alteration("route"),
  aim: (site, { parameters }) => aimAtPeer(site, "route", parameters["peer"] ?? ""),
});
