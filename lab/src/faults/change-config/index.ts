import { LabError } from "../../errors.ts";
import { OTHER_NETWORKS } from "../../network-config.ts";
import { STORE_PREFIX } from "../../observe/leases.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { entryOf } from "../held-lease.ts";

interface Target {
  readonly before: string;
  /** Undefined where the key is to go. */
  readonly after: string | undefined;
}

/** Where the network config is. Source: flannel Documentation/configuration.md. */
const KEY = `${STORE_PREFIX}/config`;

const CHANGES: Readonly<Record<string, (before: string) => string | undefined>> = {
  network: (before) => {
    const config = parseConfig(before);
    const { ipv4: Network, ipv6: IPv6Network } = OTHER_NETWORKS;
    const second = "IPv6Network" in config ? { IPv6Network } : {};
    return JSON.stringify({ ...config, Network, ...second });
  },
  backend: (before) => {
    const config = parseConfig(before);
    const now = Reflect.get(Object(config["Backend"]), "Type");
    return JSON.stringify({ ...config, Backend: { Type: now === "vxlan" ? "host-gw" : "vxlan" } });
  },
  unreadable: () => "{",
  gone: () => undefined,
};

export const changeConfig: AnyFault = defineFault<Target>({
  name: "change-config",
  summary: "Puts another network config into the store until it is healed.",
  place: "store",
  parameters: {
    config: {
      help: "with another network or backend, unreadable, or gone (default network)",
      byDefault: "network",
      value: { kind: "word", words: Object.keys(CHANGES) },
    },
  },
  timeLimitMs: 2000,
  aim: async (site, { parameters }) => {
    const entry = await entryOf(site, KEY);
    if (entry === undefined) {
      throw new LabError("wrong-state", `there is no ${KEY}`);
    }
    const change = CHANGES[parameters["config"] ?? ""];
    return { before: entry.value, after: change?.(entry.value) };
  },
  inject: ({ store }, { after }) =>
    after === undefined ? store.gateway.remove(KEY) : store.gateway.put(KEY, after),
  verify: async (site, { after }) =>
    (await entryOf(site, KEY))?.value === after
      ? { saw: `the store has ${after ?? "nothing"} under ${KEY}` }
      : undefined,
  heal: async (site, { before, after }) => {
    // What somebody else wrote meanwhile is not ours to take back.
    if ((await entryOf(site, KEY))?.value === after) {
      await site.store.gateway.put(KEY, before);
    }
  },
  verifyHealed: async (site, { after }) => {
    const now = (await entryOf(site, KEY))?.value;
    return now === after ? undefined : { saw: `the store has ${now ?? "nothing"} under ${KEY}` };
  },
});

/** @throws LabError "wrong-state" for one that cannot be read as it is */
function parseConfig(text: string): Readonly<Record<string, unknown>> {
  try {
    const config: unknown = JSON.parse(text);
    if (typeof config === "object" && config !== null) {
      return { ...config };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) {
      throw error;
    }
  }
  throw new LabError("wrong-state", `${KEY} is no JSON object as it is`);
}
