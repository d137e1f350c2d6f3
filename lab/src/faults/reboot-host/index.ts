import { join } from "node:path";
import { fileExists, findProgram, listDirectory, removeTree } from "../../system/files.ts";
import { isSameProcess } from "../../system/process-table.ts";
import { runChecked } from "../../system/processes.ts";
import type { LabHost } from "../../hosts/host.ts";
import { parseList } from "../../observe/kernel-state.ts";
import { aimAtAgent, type AgentTarget, ending } from "../agent-process.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { ipBatch, kernelOf } from "../host-kernel.ts";

interface Target extends AgentTarget {
  /** Whether /run is what it was before, as where it is no tmpfs. */
  readonly keepsRun: boolean;
}

/** For the agent to come up again, as an agent of a scenario may take. */
const TIME_LIMIT_MS = 20_000;
const { inject: kill, heal } = ending("SIGKILL", TIME_LIMIT_MS);
/** What the lab itself gives a host: its underlay link, its pod's and the bridge they hang on. */
const KEPT_KINDS = ["veth", "bridge"];

export const rebootHost: AnyFault = defineFault<Target>({
  name: "reboot-host",
  summary:
    "Kills a host's agent, and takes away what its kernel and /run forget in a reboot; healing starts the agent.",
  place: "host",
  parameters: {
    run: {
      help: "lost: /run is empty after it; kept: it is not (default lost)",
      byDefault: "lost",
      value: { kind: "word", words: ["lost", "kept"] },
    },
  },
  timeLimitMs: TIME_LIMIT_MS,
  aim: async (site, { parameters }) => ({
    ...(await aimAtAgent(site)),
    keepsRun: parameters["run"] === "kept",
  }),
  inject: async (site, target) => {
    const host = site.host();
    await kill(site, target);
    await ipBatch(
      host,
      (await madeLinks(host)).map((name) => `link delete ${name}`),
    );
    // Those on the links went with them.
    await ipBatch(host, await madeRoutes(host));
    if (findProgram("nft") !== undefined) {
      await runChecked(host.anchor.enter(["nft", "flush", "ruleset"]));
    }
    if (!target.keepsRun) {
      for (const name of listDirectory(host.files.run)) {
        removeTree(join(host.files.run, name));
      }
    }
  },
  verify: async (site, { identity, keepsRun }) => {
    const host = site.host();
    const left = [...(await madeLinks(host)), ...(await madeRoutes(host))];
    return isSameProcess(identity) ||
      left.length > 0 ||
      fileExists(host.files.subnetFile) !== keepsRun
      ? undefined
      : {
          saw: `the process table has no ${identity.pid}, a dump of ${host.name} no tunnel and no route to a peer, /run ${keepsRun ? "its" : "no"} subnet.env`,
        };
  },
  heal,
  verifyHealed: async (site) => {
    const host = site.host();
    return host.status().state === "ready"
      ? { saw: `process ${host.agent.pid} wrote subnet.env on ${host.name}` }
      : undefined;
  },
});

/** Links that somebody made on a host after it was there. */
async function madeLinks(host: LabHost): Promise<readonly string[]> {
  const links = parseList(await runChecked(host.anchor.enter(["ip", "-j", "-d", "link", "show"])));
  return links.flatMap(({ ifname, linkinfo }) => {
    const kind: unknown =
      typeof linkinfo === "object" && linkinfo !== null
        ? Reflect.get(linkinfo, "info_kind")
        : undefined;
    return typeof kind !== "string" || KEPT_KINDS.includes(kind) ? [] : [String(ifname)];
  });
}

/** As `ip` takes them away: those through a gateway, but for the default ones, which a host has from its network. */
async function madeRoutes(host: LabHost): Promise<readonly string[]> {
  const { routes } = await kernelOf(host);
  return routes.flatMap(({ destination, gateway, device }) =>
    gateway === undefined || destination === "default"
      ? []
      : [`route delete ${destination} via ${gateway} dev ${device}`],
  );
}
