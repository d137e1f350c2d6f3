/** The value of a lease in the store, byte for byte as Go's encoding/json writes it. Source: spec 03 section 2. */
import { AgentError } from "./errors.ts";
import { FAMILIES, familyOf, isUnspecified, perFamily, tryParseIp } from "./ip.ts";
import type { Family, Ip } from "./ip.ts";
import { describeValue, openObject, parseJson } from "./json-object.ts";
import type { ObjectReader } from "./json-object.ts";
import type { LeaseAttributes } from "./lease.ts";

/** Longest value read, in bytes of UTF-8. Real ones have a few hundred; only the text of an extension backend has no bound of its own. */
export const MAX_LEASE_VALUE_BYTES: number = 64 * 1024;

const WHAT = "lease value";

/** The wire's spelling, per family. */
const PUBLIC_IP: Readonly<Record<Family, string>> = { 4: "PublicIP", 6: "PublicIPv6" };
const BACKEND_DATA: Readonly<Record<Family, string>> = { 4: "BackendData", 6: "BackendV6Data" };

/** What the wire says for no IPv4 address; for no IPv6 address it says `null`. */
const NO_ADDRESS = "0.0.0.0";

/** Compact JSON, members in flannel's order, data in the order its backend gave it. */
export function formatLeaseValue(attributes: LeaseAttributes): string {
  const members: [string, unknown][] = [
    [PUBLIC_IP[4], attributes.publicIps[4] ?? NO_ADDRESS],
    [PUBLIC_IP[6], attributes.publicIps[6] ?? null],
  ];
  if (attributes.backendType !== "") members.push(["BackendType", attributes.backendType]);
  for (const family of FAMILIES) {
    const data = attributes.backendData[family];
    if (data !== undefined) members.push([BACKEND_DATA[family], data]);
  }
  return escapeLikeGo(JSON.stringify(Object.fromEntries(members)));
}

/**
 * Reads what any release of flannel wrote: names in any case, unknown members ignored, absent ones as none.
 * The data of the backend is passed on unchecked.
 * @throws AgentError "config-invalid"
 */
export function parseLeaseValue(text: string): LeaseAttributes {
  if (isLongerThan(text, MAX_LEASE_VALUE_BYTES))
    throw invalid(`longer than ${MAX_LEASE_VALUE_BYTES} bytes`);
  const reader = openObject(parseJson(text, WHAT), WHAT);
  return {
    publicIps: perFamily(readPublicIp(reader, 4), readPublicIp(reader, 6)),
    backendType: reader.string("BackendType", ""),
    backendData: perFamily(reader.raw(BACKEND_DATA[4]), reader.raw(BACKEND_DATA[6])),
  };
}

function readPublicIp(reader: ObjectReader, family: Family): Ip | undefined {
  const name = PUBLIC_IP[family];
  const value = reader.raw(name);
  if (value === undefined || (value === null && family === 6)) return undefined;
  const address = typeof value === "string" ? tryParseIp(value) : undefined;
  if (address === undefined || familyOf(address) !== family)
    throw invalid(`${name} is ${describeValue(value)}: expected an IPv${family} address`);
  return isUnspecified(address) ? undefined : address;
}

function invalid(message: string): AgentError {
  return new AgentError("config-invalid", `${WHAT}: ${message}`);
}

/** Go escapes these inside strings; outside of strings JSON has none of them. */
function escapeLikeGo(json: string): string {
  return json.replaceAll(
    /[<>&\u2028\u2029]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function isLongerThan(text: string, bytes: number): boolean {
  // UTF-8 has one to three bytes for each UTF-16 unit.
  if (text.length > bytes) return true;
  return text.length * 3 > bytes && new TextEncoder().encode(text).length > bytes;
}
