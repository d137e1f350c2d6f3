import { expect, test } from "vitest";
import { AgentError } from "./errors.ts";
import { MAX_LEASE_VALUE_BYTES, formatLeaseValue, parseLeaseValue } from "./lease-json.ts";
import { parseIp } from "./ip.ts";
import type { LeaseAttributes } from "./lease.ts";

const address = parseIp("10.0.0.5");

test.each<[string, LeaseAttributes]>([
  [
    '{"PublicIP":"1.2.3.4","PublicIPv6":null}',
    { publicIps: { 4: parseIp("1.2.3.4") }, backendType: "", backendData: {} },
  ],
  [
    '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}',
    {
      publicIps: { 4: parseIp("192.168.64.3") },
      backendType: "vxlan",
      backendData: { 4: { VNI: 1, VtepMAC: "c6:d2:32:6f:8f:44" } },
    },
  ],
  [
    '{"PublicIP":"172.17.0.2","PublicIPv6":"fd00::2","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:aa:bb:cc:dd:ee"},"BackendV6Data":{"VNI":1,"VtepMAC":"02:aa:bb:cc:dd:ef"}}',
    {
      publicIps: { 4: parseIp("172.17.0.2"), 6: parseIp("fd00::2") },
      backendType: "vxlan",
      backendData: {
        4: { VNI: 1, VtepMAC: "02:aa:bb:cc:dd:ee" },
        6: { VNI: 1, VtepMAC: "02:aa:bb:cc:dd:ef" },
      },
    },
  ],
  [
    '{"PublicIP":"10.0.0.5","PublicIPv6":null,"BackendType":"host-gw"}',
    { publicIps: { 4: address }, backendType: "host-gw", backendData: {} },
  ],
  [
    '{"PublicIP":"10.0.0.5","PublicIPv6":null,"BackendType":"wireguard","BackendData":{"PublicKey":"<base64>","Port":51820}}'
      .replace("<", "\\u003c")
      .replace(">", "\\u003e"),
    {
      publicIps: { 4: address },
      backendType: "wireguard",
      backendData: { 4: { PublicKey: "<base64>", Port: 51820 } },
    },
  ],
  [
    '{"PublicIP":"10.0.0.5","PublicIPv6":null,"BackendType":"extension","BackendData":"stdout text"}',
    { publicIps: { 4: address }, backendType: "extension", backendData: { 4: "stdout text" } },
  ],
  [
    '{"PublicIP":"0.0.0.0","PublicIPv6":"fd00::2","BackendType":"vxlan","BackendV6Data":null}',
    { publicIps: { 6: parseIp("fd00::2") }, backendType: "vxlan", backendData: { 6: null } },
  ],
])("%s is written and read", (text, attributes) => {
  expect(formatLeaseValue(attributes)).toBe(text);
  expect(parseLeaseValue(text)).toEqual(attributes);
});

test("strings are escaped as Go escapes them", () => {
  const data = '<a href="x">&\u2028\u2029\u0001\b\f\n\té\u{1f600}';
  const text = formatLeaseValue({
    publicIps: { 4: address },
    backendType: "a&b",
    backendData: { 4: { "<k>": data } },
  });
  expect(text).toBe(
    String.raw`{"PublicIP":"10.0.0.5","PublicIPv6":null,"BackendType":"a\u0026b","BackendData":{"\u003ck\u003e":"\u003ca href=\"x\"\u003e\u0026\u2028\u2029\u0001\b\f\n\té` +
      '\u{1f600}"}}',
  );
  expect(parseLeaseValue(text).backendData[4]).toEqual({ "<k>": data });
});

test.each<[string, Partial<LeaseAttributes>]>([
  ['{"publicip":"10.0.0.5"}', { publicIps: { 4: address } }],
  ['{"PUBLICIP":"10.0.0.5","Added":{"later":1}}', { publicIps: { 4: address } }],
  ['{"PublicIP":"10.0.0.5","BackendType":null}', { backendType: "" }],
  [
    '{"PublicIP":"10.0.0.5","BackendType":"vxlan","BackendData":{"VtepMAC":"c6:d2:32:6f:8f:44"}}',
    { backendData: { 4: { VtepMAC: "c6:d2:32:6f:8f:44" } } },
  ],
  ['{"PublicIPv6":"FD00:0::2"}', { publicIps: { 6: parseIp("fd00::2") } }],
  ['{"PublicIP":"0.0.0.0","PublicIPv6":"::"}', { publicIps: {} }],
  [" {} \n", { publicIps: {}, backendType: "", backendData: {} }],
])("%s, as older releases and other hands write it, is read", (text, expected) => {
  expect(parseLeaseValue(text)).toMatchObject(expected);
});

test.each([
  ['{"PublicIP":null}', "lease value: PublicIP is null: expected an IPv4 address"],
  ['{"PublicIP":"fd00::2"}', 'lease value: PublicIP is "fd00::2": expected an IPv4 address'],
  ['{"PublicIP":"10.0.0.256"}', 'lease value: PublicIP is "10.0.0.256": expected an IPv4 address'],
  [
    '{"PublicIP":"10.0.0.5","PublicIPv6":"10.0.0.5"}',
    'lease value: PublicIPv6 is "10.0.0.5": expected an IPv6 address',
  ],
  [
    '{"PublicIP":"10.0.0.5","PublicIPv6":{}}',
    "lease value: PublicIPv6 is an object: expected an IPv6 address",
  ],
  [
    '{"PublicIP":"10.0.0.5","BackendType":7}',
    "lease value: BackendType is a number: expected a string",
  ],
  ["[]", "lease value is an array: expected a JSON object"],
  ["", "lease value: invalid JSON: Unexpected end of JSON input"],
])("%s is a bad entry", (text, message) => {
  expect(() => parseLeaseValue(text)).toThrow(new AgentError("config-invalid", message));
});

test("a value is limited in bytes, not letters", () => {
  const value = (filler: string): string => `{"PublicIP":"10.0.0.5","x":"${filler}"}`;
  const room = MAX_LEASE_VALUE_BYTES - value("").length;
  expect(() => parseLeaseValue(value("a".repeat(room)))).not.toThrow();
  expect(() => parseLeaseValue(value("a".repeat(room + 1)))).toThrow("longer than 65536 bytes");
  expect(() => parseLeaseValue(value("é".repeat(room / 2 + 1)))).toThrow("longer than 65536 bytes");
});
