import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtPeer, removal, PEER } from "../peer-objects.ts";

export const deleteRoute: AnyFault = defineFault({
  name: "delete-route",
  summary: "Takes the route to a peer away.",
  place: "host",
  parameters: PEER,
  ...removal("route"),
  aim: (site, { parameters }) => aimAtPeer(site, "route", parameters["peer"] ?? ""),
});
