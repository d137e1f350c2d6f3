import { expect, test } from "vitest";
import { AgentError } from "./errors.ts";
import { parseCidr } from "./ip.ts";
import { formatSubnetKey, parseSubnetKey } from "./subnet-key.ts";

test.each([
  ["10.5.52.0-24", { 4: "10.5.52.0/24" }],
  ["10.12.13.0-24", { 4: "10.12.13.0/24" }],
  ["10.12.13.0-24&fd00:12:13::-56", { 4: "10.12.13.0/24", 6: "fd00:12:13::/56" }],
])("%s is read and written back", (key, subnets) => {
  expect(parseSubnetKey(key)).toEqual(subnets);
  expect(formatSubnetKey(parseSubnetKey(key) ?? {})).toBe(key);
});

test.each([
  "10",
  "10.12.13.0",
  "10.12.13-24",
  "10.12.13.300-24",
  "10.12.13.0-24hi",
  "&2001::-56",
  "10.12.13.0-24&:12:13:-56",
  "10.12.13.0-24&20011::-56",
  "10.12.13.0-24&2001-56",
  "10.12.13.0-24&2001::",
  "10.12.13.0-24&2001::-56hi",
])("%s is bad in the reference and here", (key) => {
  expect(parseSubnetKey(key)).toBeUndefined();
});

test.each([
  "x10.12.13.0-24",
  "10.12.13x0-24",
  "10.12.13.0-32",
  "10.12.13.0-024",
  "10.12.13.0-33",
  "10.12.013.0-24",
  "0.0.0.0-0",
  "0.0.0.0-0&fd00:12:13::-56",
  "10.12.13.1-24",
  "10.12.13.0-24&fd00:12:13::-128",
  "10.12.13.0-24&fd00:12:13::-129",
  "10.12.13.0-24&FD00:12:13::-56",
  "10.12.13.0-24&fd00:0012:13::-56",
  "10.12.13.0-24&fd00:12:13::1-56",
  "10.12.13.0-24&::ffff:10.1.2.0-120",
  "10.12.13.0-24\n",
  "subnets/10.12.13.0-24",
  "",
])("%j, which would not be written back the same, is refused", (key) => {
  expect(parseSubnetKey(key)).toBeUndefined();
});

test("a lease without an IPv4 subnet has no key", () => {
  expect(() => formatSubnetKey({ 6: parseCidr("fd00:12:13::/56") })).toThrow(
    "IPv6 alone cannot be leased through etcd",
  );
});

test("only what can be read back is written", () => {
  const four = parseCidr("10.12.13.0/24");
  for (const subnets of [
    { 4: parseCidr("10.12.13.1/32") },
    { 4: parseCidr("10.12.13.1/24") },
    { 4: parseCidr("0.0.0.0/0") },
    { 4: parseCidr("fd00::/64") },
    { 4: four, 6: parseCidr("fd00::1/128") },
    { 4: four, 6: four },
  ])
    expect(() => formatSubnetKey(subnets)).toThrow(AgentError);
});
