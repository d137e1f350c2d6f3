import { AgentError } from "./errors.ts";

declare const macBrand: unique symbol;

/** A 48-bit hardware address as canonical text: lower-case hex, colons. */
export type Mac = string & { readonly [macBrand]: true };

/**
 * Reads six hex pairs divided by colons or dashes, as Go's net.ParseMAC does for 48 bits.
 * @throws AgentError "config-invalid"
 */
export function parseMac(text: string): Mac {
  if (isCanonical(text)) return text as Mac;
  const lower = text.toLowerCase();
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$|^([0-9a-f]{2}-){5}[0-9a-f]{2}$/.test(lower))
    throw new AgentError(
      "config-invalid",
      `invalid hardware address: ${JSON.stringify(text.slice(0, 64))}`,
    );
  return lower.replaceAll("-", ":") as Mac;
}

const [DIGIT_0, DIGIT_9, LETTER_A, LETTER_F, COLON] = [0x30, 0x39, 0x61, 0x66, 0x3a];

/** Looked at letter by letter: as a rule it is, and a node with thousands of peers reads them all at its start and in each sweep. */
function isCanonical(text: string): boolean {
  if (text.length !== 17) return false;
  for (let index = 0; index < 17; index++) {
    const code = text.charCodeAt(index);
    const isHex = (code >= DIGIT_0 && code <= DIGIT_9) || (code >= LETTER_A && code <= LETTER_F);
    if (index % 3 === 2 ? code !== COLON : !isHex) return false;
  }
  return true;
}

/** Turns six random bytes into a locally administered unicast address. Source: IEEE 802 section 8.2, spec 05 section 2.2. */
export function localMac(bytes: Uint8Array): Mac {
  const hex = Array.from(bytes.slice(0, 6), (byte, index) =>
    (index === 0 ? (byte & 0xfe) | 0x02 : byte).toString(16).padStart(2, "0"),
  );
  return parseMac(hex.join(":"));
}

/** Whether frames can be sent to it as to one station: not a group address, not all zeros. */
export function isUnicastMac(mac: Mac): boolean {
  return (Number.parseInt(mac.charAt(1), 16) & 1) === 0 && mac !== "00:00:00:00:00:00";
}
