import { LabError } from "../../errors.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { allSeen, dumped, ipBatch, linkOf } from "../host-kernel.ts";

interface Target {
  readonly link: string;
  readonly before: string;
}

/** Locally administered; no host of a lab has it. */
const OTHER_MAC = "02:00:00:00:0b:ee";

export const changeMac: AnyFault = defineFault<Target>({
  name: "change-mac",
  summary: "Gives a link another hardware address, which peers do not know.",
  place: "host",
  parameters: {
    link: { help: "the link's name", byDefault: "flannel.1", value: { kind: "link" } },
  },
  timeLimitMs: 2000,
  aim: async (site, { parameters }) => {
    const link = parameters["link"] ?? "";
    const facts = await linkOf(site.host(), link);
    if (facts === undefined) {
      throw new LabError("wrong-state", `there is no ${link} on ${site.host().name}`);
    }
    return { link, before: facts.mac };
  },
  inject: (site, { link }) => ipBatch(site.host(), [`link set ${link} address ${OTHER_MAC}`]),
  verify: async (site, { link }) =>
    allSeen(site, [
      {
        what: `${link} with ${OTHER_MAC}`,
        is: (event) =>
          event.kind === "put" &&
          event.object === "link" &&
          event.link.name === link &&
          event.link.mac === OTHER_MAC,
      },
    ]),
  heal: async (site, { link, before }) => {
    if ((await linkOf(site.host(), link))?.mac === OTHER_MAC) {
      await ipBatch(site.host(), [`link set ${link} address ${before}`]);
    }
  },
  verifyHealed: async (site, { link }) => {
    const mac = (await linkOf(site.host(), link))?.mac;
    return mac === undefined || mac === OTHER_MAC
      ? undefined
      : dumped(site.host(), `${link} with ${mac}`);
  },
});
