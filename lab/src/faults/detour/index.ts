import { ADDRESS_BITS } from "../../addresses.ts";
import { EXTERNAL_INTERFACE } from "../../topology.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { dumped, ipBatch, kernelOf } from "../host-kernel.ts";
import { PEER } from "../peer-objects.ts";

interface Target {
  readonly routes: readonly { readonly to: string; readonly router: string }[];
}

export const detour: AnyFault = defineFault<Target>({
  name: "detour",
  summary:
    "Routes a host's packets for a peer's public addresses through the router, though both are on one segment.",
  place: "host",
  parameters: PEER,
  timeLimitMs: 2000,
  aim: async (site, { parameters }) => ({
    routes: site.hostNamed(parameters["peer"] ?? "").plan.addresses.flatMap((address) => {
      const own = site.host().plan.addresses.find(({ family }) => family === address.family);
      return own === undefined
        ? []
        : [{ to: `${address.address}/${ADDRESS_BITS[address.family]}`, router: own.router }];
    }),
  }),
  inject: (site, { routes }) =>
    ipBatch(
      site.host(),
      routes.map(
        ({ to, router }) => `route add ${to} via ${router} dev ${EXTERNAL_INTERFACE} proto static`,
      ),
    ),
  verify: async (site, { routes }) => {
    const there = await foundOf(site.host(), routes);
    return there.length === routes.length
      ? dumped(site.host(), routes.map(({ to, router }) => `${to} via ${router}`).join(", "))
      : undefined;
  },
  heal: async (site, { routes }) => {
    const there = await foundOf(site.host(), routes);
    await ipBatch(
      site.host(),
      there.map(({ to }) => `route delete ${to} proto static`),
    );
  },
  verifyHealed: async (site, { routes }) =>
    (await foundOf(site.host(), routes)).length === 0
      ? dumped(site.host(), "no detour")
      : undefined,
});

/** The routes that are there. `ip` prints those to one address without a length. */
async function foundOf(
  host: Parameters<typeof kernelOf>[0],
  routes: Target["routes"],
): Promise<Target["routes"]> {
  const kernel = await kernelOf(host);
  return routes.filter(({ to, router }) =>
    kernel.routes.some(
      ({ destination, gateway }) => to.startsWith(`${destination}/`) && gateway === router,
    ),
  );
}
