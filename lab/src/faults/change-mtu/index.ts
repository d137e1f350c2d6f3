import { LabError } from "../../errors.ts";
import { EXTERNAL_INTERFACE } from "../../topology.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { allSeen, dumped, ipBatch, linkOf } from "../host-kernel.ts";

interface Target {
  readonly mtu: number;
  readonly before: number;
}

/** IPv6 needs 1280, and its packets 70 bytes around them in vxlan. */
const MTU_RANGE = { min: 1350, max: 9000 };

export const changeMtu: AnyFault = defineFault<Target>({
  name: "change-mtu",
  summary: "Gives the external interface of a host another MTU.",
  place: "host",
  parameters: { mtu: { help: "bytes", value: { kind: "number", ...MTU_RANGE } } },
  timeLimitMs: 2000,
  aim: async (site, { parameters }) => {
    const facts = await linkOf(site.host(), EXTERNAL_INTERFACE);
    const mtu = Number(parameters["mtu"]);
    if (facts === undefined || facts.mtu === mtu) {
      const why = facts === undefined ? "is not there" : `has MTU ${mtu} already`;
      throw new LabError("wrong-state", `${EXTERNAL_INTERFACE} on ${site.host().name} ${why}`);
    }
    return { mtu, before: facts.mtu };
  },
  inject: (site, { mtu }) => ipBatch(site.host(), [`link set ${EXTERNAL_INTERFACE} mtu ${mtu}`]),
  verify: async (site, { mtu }) =>
    allSeen(site, [
      {
        what: `${EXTERNAL_INTERFACE} with MTU ${mtu}`,
        is: (event) =>
          event.kind === "put" &&
          event.object === "link" &&
          event.link.name === EXTERNAL_INTERFACE &&
          event.link.mtu === mtu,
      },
    ]),
  heal: (site, { before }) =>
    ipBatch(site.host(), [`link set ${EXTERNAL_INTERFACE} mtu ${before}`]),
  verifyHealed: async (site, { before }) =>
    (await linkOf(site.host(), EXTERNAL_INTERFACE))?.mtu === before
      ? dumped(site.host(), `${EXTERNAL_INTERFACE} with MTU ${before}`)
      : undefined,
});
