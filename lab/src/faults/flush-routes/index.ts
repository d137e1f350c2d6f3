import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtPeers, removal } from "../peer-objects.ts";

export const flushRoutes: AnyFault = defineFault({
  name: "flush-routes",
  summary: "Takes the routes to all peers away.",
  place: "host",
  parameters: {},
  ...removal("route"),
  aim: (site) => aimAtPeers(site, "route", site.otherHosts()),
});
