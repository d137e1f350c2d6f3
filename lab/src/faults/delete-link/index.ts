import { LabError } from "../../errors.ts";
import type { HostKernel } from "../../observe/kernel-state.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import {
  allSeen,
  bridgeBatch,
  dumped,
  ipBatch,
  kernelOf,
  type LinkFacts,
  linkOf,
} from "../host-kernel.ts";

interface Target {
  readonly link: LinkFacts & { readonly vxlan: NonNullable<LinkFacts["vxlan"]> };
  readonly kernel: HostKernel;
}

export const deleteLink: AnyFault = defineFault<Target>({
  name: "delete-link",
  summary: "Deletes a vxlan device, and with it every route, neighbour and FDB entry on it.",
  place: "host",
  parameters: {
    link: { help: "the device's name", byDefault: "flannel.1", value: { kind: "link" } },
  },
  timeLimitMs: 2000,
  aim: async (site, { parameters }) => {
    const host = site.host();
    const name = parameters["link"] ?? "";
    const link = await linkOf(host, name);
    if (link?.vxlan === undefined) {
      const why =
        link === undefined ? "is not there" : "is no vxlan device: it could not be put back";
      throw new LabError("wrong-state", `${name} on ${host.name} ${why}`);
    }
    return { link: { ...link, vxlan: link.vxlan }, kernel: await kernelOf(host) };
  },
  inject: (site, { link }) => ipBatch(site.host(), [`link delete ${link.name}`]),
  verify: async (site, { link }) =>
    allSeen(site, [
      {
        what: `the removal of ${link.name}`,
        is: (event) =>
          event.kind === "remove" && event.object === "link" && event.link.name === link.name,
      },
    ]),
  heal: async (site, target) => {
    const host = site.host();
    if ((await linkOf(host, target.link.name)) === undefined) {
      await putBack(host, target);
    }
  },
  verifyHealed: async (site, { link }) =>
    (await linkOf(site.host(), link.name))?.up === true
      ? dumped(site.host(), `${link.name} up`)
      : undefined,
});

/** The device with everything that was on it, in an order in which the kernel takes it. */
async function putBack(
  host: Parameters<typeof ipBatch>[0],
  { link, kernel }: Target,
): Promise<void> {
  const { name, mac, mtu, addresses, vxlan } = link;
  const learning = vxlan.learning ? "" : " nolearning";
  try {
    await ipBatch(host, [
      `link add ${name} address ${mac} mtu ${mtu} type vxlan id ${vxlan.id} local ${vxlan.local} dev eth0 dstport ${vxlan.port}${learning}`,
    ]);
  } catch (error) {
    // The agent was first: what is on its device is its own affair.
    if ((await linkOf(host, name)) !== undefined) {
      return;
    }
    throw error;
  }
  const on = <T extends { readonly device: string }>(objects: readonly T[]): T[] =>
    objects.filter(({ device }) => device === name);
  // An agent that finds the device there goes on with it, and may be first with each of these.
  await ipBatch(host, [
    `link set ${name} up`,
    ...addresses.map((address) => `address replace ${address} dev ${name}`),
    ...on(kernel.neighbours).map(
      ({ address, mac: lladdr }) =>
        `neighbour replace ${address} lladdr ${lladdr} dev ${name} nud permanent`,
    ),
    ...on(kernel.routes)
      .filter(({ gateway }) => gateway !== undefined)
      .map(
        ({ destination, gateway, protocol, onlink }) =>
          `route replace ${destination} via ${gateway} dev ${name} proto ${protocol}${onlink ? " onlink" : ""}`,
      ),
  ]);
  await bridgeBatch(
    host,
    on(kernel.fdb).map(
      ({ mac: lladdr, destination }) =>
        `fdb replace ${lladdr} dev ${name} dst ${destination} self permanent`,
    ),
  );
}
