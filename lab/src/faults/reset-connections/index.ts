import { LabError } from "../../errors.ts";
import type { LabHost } from "../../hosts/host.ts";
import { MAX_STORE_MEMBERS } from "../../options.ts";
import { run, runChecked } from "../../system/processes.ts";
import { STORE_PORT, storeAddresses } from "../../topology.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { addFilter, type FilterPlan, removeFilter } from "../packet-filter.ts";

interface Target {
  readonly plan: FilterPlan;
}

const MEMBERS = storeAddresses(MAX_STORE_MEMBERS);
const [FIRST_MEMBER = ""] = MEMBERS;
/** Nothing else of a lab has this port. */
const TO_STORE = ["dport", "=", `:${STORE_PORT}`];
const CONNECT_TIMEOUT_MS = 5000;
/** Run by Node in the host: says `connected`, or the error's code. Arguments: address, port. */
const CONNECT = `
const [address, port] = process.argv.slice(1);
const socket = require("node:net").connect(Number(port), address);
socket.on("connect", () => { console.log("connected"); socket.destroy(); });
socket.on("error", ({ code }) => { console.log(code); });
`;

export const resetConnections: AnyFault = defineFault<Target>({
  name: "reset-connections",
  summary:
    "Breaks a host's TCP connections to the store, and answers each new one with a reset until it is healed.",
  place: "host",
  parameters: {},
  needs: "packet-reset",
  timeLimitMs: 15_000,
  aim: async (site) => {
    const host = site.host();
    if ((await connected(host)).length === 0) {
      throw new LabError("wrong-state", `${host.name} has no connection to the store`);
    }
    return {
      plan: {
        table: `lab_${site.id}`,
        port: host.name,
        direction: "out",
        from: { macs: [], addresses: MEMBERS, match: `tcp dport ${STORE_PORT}` },
        routers: [],
        verdict: "counter reject with tcp reset",
      },
    };
  },
  inject: async (site, { plan }) => {
    await addFilter(plan);
    // Idle connections would hear of it with their next packet only. A kernel that cannot do this does nothing.
    await runChecked(site.host().anchor.enter(["ss", "--kill", "-tn", ...TO_STORE]));
  },
  verify: async (site) => {
    const host = site.host();
    const answer = await tryToConnect(host);
    const left = await connected(host);
    return answer === "ECONNREFUSED" && left.length === 0
      ? {
          saw: `a new connection of ${host.name} to the store was reset, and it has no other any more`,
        }
      : undefined;
  },
  heal: (_site, { plan }) => removeFilter(plan),
  verifyHealed: async (site) =>
    (await tryToConnect(site.host())) === "connected"
      ? { saw: `the store takes a new connection of ${site.host().name}` }
      : undefined,
});

/** The established connections of a host to the store, a line each. */
async function connected(host: LabHost): Promise<readonly string[]> {
  const argv = ["ss", "-Htn", "state", "established", ...TO_STORE];
  const text = await runChecked(host.anchor.enter(argv));
  return text.split("\n").filter((line) => line !== "");
}

/** `connected`, or the code of the error that connect(2) had. */
async function tryToConnect(host: LabHost): Promise<string> {
  const argv = [process.execPath, "-e", CONNECT, FIRST_MEMBER, String(STORE_PORT)];
  const { stdout } = await run(host.anchor.enter(argv), { timeoutMs: CONNECT_TIMEOUT_MS });
  return stdout.trim();
}
