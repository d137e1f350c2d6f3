import { LabError } from "../../errors.ts";
import type { StoreEntry } from "../../lab.ts";
import { STORE_PREFIX } from "../../observe/leases.ts";
import { type AnyFault, defineFault, type FaultSite } from "../fault.ts";
import { entryOf } from "../held-lease.ts";

interface Target {
  readonly key: string;
  readonly value: string;
}

const SUBNETS = `${STORE_PREFIX}/subnets/`;
/** Nothing is wrong with it but the key that it is under. */
const READABLE = JSON.stringify({
  PublicIP: "192.0.2.77",
  PublicIPv6: null,
  BackendType: "vxlan",
  BackendData: { VNI: 1, VtepMAC: "02:00:00:00:0c:04" },
});
/** etcd takes requests of up to 1.5 MiB. Source: etcd's --max-request-bytes. */
const HUGE_BYTES = 1_000_000;

/** Each is a key below the leases, or else a value under the key of a free subnet, that no agent has written. */
const POISONS: Readonly<Record<string, { readonly key?: string; readonly value: string }>> = {
  name: { key: "not-a-subnet", value: READABLE },
  address: { key: "10.244.300.0-24", value: READABLE },
  length: { key: "10.244.9.0-33", value: READABLE },
  text: { value: "this is no lease" },
  empty: { value: "" },
  null: { value: "null" },
  types: {
    value: JSON.stringify({ PublicIP: 7, BackendType: [], BackendData: { VtepMAC: false } }),
  },
  huge: { value: "x".repeat(HUGE_BYTES) },
};

export const poisonKey: AnyFault = defineFault<Target>({
  name: "poison-key",
  summary: "Puts a key or a value that cannot be read among the leases.",
  place: "store",
  parameters: {
    poison: {
      help: "a bad key: its name, address or length; or a bad value: text, empty, null, of wrong types, huge (default text)",
      byDefault: "text",
      value: { kind: "word", words: Object.keys(POISONS) },
    },
  },
  timeLimitMs: 2000,
  aim: async (site, { parameters }) => {
    const { key, value = "" } = POISONS[parameters["poison"] ?? ""] ?? {};
    const { entries } = await site.store.gateway.range(SUBNETS);
    const target = { key: key === undefined ? freeKey(site, entries) : SUBNETS + key, value };
    if (entries.some((entry) => entry.key === target.key)) {
      throw new LabError("wrong-state", `${target.key} is in the store already`);
    }
    return target;
  },
  inject: ({ store }, { key, value }) => store.gateway.put(key, value),
  verify: async (site, { key, value }) =>
    (await entryOf(site, key))?.value === value
      ? { saw: `the store has ${value.length} bytes under ${key}` }
      : undefined,
  // A node may have taken the key of what is nobody's lease.
  heal: async (site, { key, value }) => {
    if ((await entryOf(site, key))?.value === value) {
      await site.store.gateway.remove(key);
    }
  },
  verifyHealed: async (site, { key, value }) =>
    (await entryOf(site, key))?.value === value
      ? undefined
      : { saw: `the store has nothing of it under ${key}` },
});

/** The last subnet that nobody has, as a lease of all families would be called. @throws LabError "wrong-state" */
function freeKey({ families }: FaultSite, entries: readonly StoreEntry[]): string {
  for (let third = 255; third > 0; third -= 1) {
    const first = `${SUBNETS}10.244.${third}.0-24`;
    if (!entries.some(({ key }) => key === first || key.startsWith(`${first}&`))) {
      return families.length === 1 ? first : `${first}&fd00:10:244:${third.toString(16)}::-64`;
    }
  }
  throw new LabError("wrong-state", "no subnet is free");
}
