import { parseCidr } from "../../addresses.ts";
import { LabError } from "../../errors.ts";
import { EXTERNAL_INTERFACE } from "../../topology.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { dumped, ipBatch, kernelOf } from "../host-kernel.ts";

interface Target {
  readonly to: string;
  readonly router: string;
}

export const foreignRoute: AnyFault = defineFault<Target>({
  name: "foreign-route",
  summary: "Adds a route of somebody else to a host, which no agent may touch.",
  place: "host",
  parameters: {
    to: {
      help: "where it leads (default 198.51.100.0/24)",
      byDefault: "198.51.100.0/24",
      value: { kind: "prefix" },
    },
  },
  timeLimitMs: 2000,
  aim: async (site, { parameters }) => {
    const to = parameters["to"] ?? "";
    const family = parseCidr(to)?.address.family;
    const router = site.host().plan.addresses.find((address) => address.family === family)?.router;
    if (router === undefined) {
      throw new LabError("wrong-state", `${site.host().name} has no router for ${to}`);
    }
    return { to, router };
  },
  inject: (site, { to, router }) =>
    ipBatch(site.host(), [`route add ${to} via ${router} dev ${EXTERNAL_INTERFACE} proto static`]),
  verify: async (site, { to, router }) => {
    const { routes } = await kernelOf(site.host());
    const there = routes.some(
      ({ destination, gateway, protocol }) =>
        destination === to && gateway === router && protocol === "static",
    );
    return there ? dumped(site.host(), `${to} via ${router} proto static`) : undefined;
  },
  heal: async (site, { to }) => {
    const { routes } = await kernelOf(site.host());
    if (routes.some(({ destination }) => destination === to)) {
      await ipBatch(site.host(), [`route delete ${to} proto static`]);
    }
  },
  verifyHealed: async (site, { to }) =>
    (await kernelOf(site.host())).routes.some(({ destination }) => destination === to)
      ? undefined
      : dumped(site.host(), `no route to ${to}`),
});
