/** What anybody can write below the prefix: names that are no subnet, and values that no node publishes (invariant A13). */
import { leaseValue } from "./operator.ts";

const SOUND = leaseValue("192.0.2.98", "02:00:00:00:00:62");

function withData(data: string, publicIp = "192.0.2.98"): string {
  return `{"PublicIP":"${publicIp}","PublicIPv6":null,"BackendType":"vxlan","BackendData":${data}}`;
}

function withMac(mac: string): string {
  return withData(JSON.stringify({ VNI: 1, VtepMAC: mac }));
}

const NAMES: readonly string[] = [
  "garbage",
  "10.42.90.0",
  "10.42.90-24",
  "10.42.90.256-24",
  "10.042.90.0-24",
  "10.42.90.0-24 ",
  "10.42.90.0-33",
  "10.42.90.0--24",
  "10.42.90.9-24",
  "10.42.90.0_24",
  "10.42.90.0-24&fd00::-200",
  "10.42.90.0-24&10.42.91.0-24",
  "10.42.90.0-24&fd00:: -64",
  "fd00::-64",
  "10.42.90.0-24/below/it",
  "%31%30.42.90.0-24",
  "../config",
  "x".repeat(3000),
];

const VALUES: readonly (string | Uint8Array)[] = [
  "",
  "\n",
  "{",
  "null",
  "true",
  "[1]",
  '"192.0.2.98"',
  "{}",
  '{"PublicIP":""}',
  '{"PublicIP":[]}',
  '{"PublicIP":"192.0.2"}',
  '{"PublicIP":"192.0.2.98/24"}',
  '{"PublicIP":"fd00::98"}',
  '{"PublicIP":"192.0.2.98","BackendType":{}}',
  `${SOUND},`,
  `[${SOUND}]`,
  "[".repeat(10_000),
  `${SOUND.slice(0, -1)},"pad":"${"x".repeat(100_000)}"}`,
  withData("null"),
  withData('"text"'),
  withData('{"VNI":1}'),
  withMac("02:00:00:00:00"),
  withMac("02:00:00:00:00:62:63"),
  withMac("$(reboot)"),
  withMac("ff:ff:ff:ff:ff:ff"),
  withMac("01:00:5e:00:00:62"),
  withMac("00:00:00:00:00:00"),
  withData('{"VNI":-1,"VtepMAC":"02:00:00:00:00:62"}'),
  withData('{"VNI":1,"VtepMAC":"02:00:00:00:00:62"}', "0.0.0.0"),
  withData('{"VNI":1,"VtepMAC":"02:00:00:00:00:62"}', "127.0.0.1"),
  withData('{"VNI":1,"VtepMAC":"02:00:00:00:00:62"}', "239.1.2.3"),
  withData('{"VNI":1,"VtepMAC":"02:00:00:00:00:62"}', "10.42.1.1"),
  SOUND.replace("vxlan", "host-gw"),
  Uint8Array.of(0x00, 0x1b, 0x5b),
  Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d),
];

export interface PoisonEntry {
  readonly name: string;
  readonly value: string | Uint8Array;
  /** How a log line that names it spells it, or begins to: its quoted key, or its subnet. */
  readonly spellings: readonly string[];
}

/** Each value has a subnet of its own; a subnet outside the network and one that overlaps the given one's are among the names. */
export function poisonEntries(overlapping: string): readonly PoisonEntry[] {
  const strange = [...NAMES, overlapping, "10.99.1.0-24", "0.0.0.0-0"].map((name) => ({
    name,
    value: SOUND,
  }));
  const values = VALUES.map((value, index) => ({ name: `10.42.${100 + index}.0-24`, value }));
  return [...strange, ...values].map((entry) => ({
    ...entry,
    spellings: [
      `/${entry.name.slice(0, 60)}${entry.name.length > 60 ? "" : '"'}`,
      ` ${entry.name.replace(/-(\d+)$/, "/$1")} `,
    ],
  }));
}
