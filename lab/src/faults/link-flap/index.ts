import { type EndpointAddress, EXTERNAL_INTERFACE } from "../../topology.ts";
import { runChecked } from "../../system/processes.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { allSeen, dumped, ipBatch, kernelOf, linkOf } from "../host-kernel.ts";

interface Target {
  readonly side: "host" | "switch";
  readonly addresses: readonly EndpointAddress[];
}

export const linkFlap: AnyFault = defineFault<Target>({
  name: "link-flap",
  summary:
    "Takes the underlay link of a host down until it is healed: switched off, or without a carrier.",
  place: "host",
  parameters: {
    side: {
      help: "host: its interface is switched off; switch: the other end is, and the carrier is lost",
      byDefault: "host",
      value: { kind: "word", words: ["host", "switch"] },
    },
  },
  timeLimitMs: 3000,
  aim: async (site, { parameters }) => ({
    side: parameters["side"] === "switch" ? "switch" : "host",
    addresses: site.host().plan.addresses,
  }),
  inject: async (site, { side }) => {
    if (side === "host") {
      await ipBatch(site.host(), [`link set ${EXTERNAL_INTERFACE} down`]);
    } else {
      await setPort(site.host().name, "down");
    }
  },
  verify: async (site, { side }) =>
    allSeen(site, [
      {
        what: `${EXTERNAL_INTERFACE} ${side === "host" ? "down" : "without a carrier"}`,
        is: (event) =>
          event.kind === "put" &&
          event.object === "link" &&
          event.link.name === EXTERNAL_INTERFACE &&
          !(side === "host" ? event.link.up : event.link.lowerUp),
      },
    ]),
  heal: async (site, { side, addresses }) => {
    if (side === "switch") {
      await setPort(site.host().name, "up");
      return;
    }
    // What configures a machine's network puts back what the kernel forgot: IPv6 addresses, default routes.
    await ipBatch(site.host(), [
      `link set ${EXTERNAL_INTERFACE} up`,
      ...addresses
        .filter(({ family }) => family === "ipv6")
        .map(
          ({ address, prefixLength }) =>
            `address replace ${address}/${prefixLength} dev ${EXTERNAL_INTERFACE} nodad`,
        ),
      ...addresses.map(
        ({ router }) => `route replace default via ${router} dev ${EXTERNAL_INTERFACE}`,
      ),
    ]);
  },
  verifyHealed: async (site, { addresses }) => {
    const link = await linkOf(site.host(), EXTERNAL_INTERFACE);
    const { routes } = await kernelOf(site.host());
    const defaults = routes.filter(({ destination }) => destination === "default");
    return link?.up === true && link.carrier && defaults.length >= addresses.length
      ? dumped(site.host(), `${EXTERNAL_INTERFACE} up, with its default routes`)
      : undefined;
  },
});

/** The port of a host on the switch, which is in the supervisor's own network namespace. */
async function setPort(host: string, state: "up" | "down"): Promise<void> {
  await runChecked(["ip", "link", "set", host, state]);
}
