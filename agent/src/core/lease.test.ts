import { expect, test } from "vitest";
import { parseCidr, parseIp } from "./ip.ts";
import { equalAttributes, sameLease } from "./lease.ts";
import type { LeaseAttributes } from "./lease.ts";

const attributes: LeaseAttributes = {
  publicIps: { 4: parseIp("192.0.2.1"), 6: parseIp("2001:db8::1") },
  backendType: "vxlan",
  backendData: { 4: { VNI: 1, VtepMAC: "0e:00:00:00:00:01" }, 6: [1, { a: null }] },
};

test("the order of members in published data does not count, everything else does", () => {
  const reordered = { 4: { VtepMAC: "0e:00:00:00:00:01", VNI: 1 }, 6: [1, { a: null }] };
  expect(equalAttributes(attributes, { ...attributes, backendData: reordered })).toBe(true);
  const unwritten = { ...reordered, 6: [1, { a: null, b: undefined }] };
  expect(equalAttributes(attributes, { ...attributes, backendData: unwritten })).toBe(true);
  for (const other of [
    { ...attributes, backendType: "host-gw" },
    { ...attributes, publicIps: { 4: parseIp("192.0.2.1") } },
    { ...attributes, publicIps: { ...attributes.publicIps, 6: parseIp("2001:db8::2") } },
    { ...attributes, backendData: { 4: attributes.backendData[4] } },
    { ...attributes, backendData: { ...reordered, 6: [1, { a: undefined }] } },
    { ...attributes, backendData: { ...reordered, 6: [1, {}] } },
    { ...attributes, backendData: { ...reordered, 6: { 0: 1, 1: { a: null } } } },
    { ...attributes, backendData: { ...reordered, 6: [1, { a: null, b: 1 }] } },
    { ...attributes, backendData: { ...reordered, 6: [1, { b: null }] } },
    { ...attributes, backendData: { ...reordered, 4: { VNI: 2, VtepMAC: "0e:00:00:00:00:01" } } },
  ])
    expect(equalAttributes(attributes, other)).toBe(false);
});

test("a lease is its subnets, all of them", () => {
  const four = parseCidr("10.3.1.0/24");
  const six = parseCidr("fd00::/64");
  expect(sameLease({ subnets: { 4: four, 6: six } }, { subnets: { 6: six, 4: four } })).toBe(true);
  expect(sameLease({ subnets: { 4: four, 6: six } }, { subnets: { 4: four } })).toBe(false);
  expect(sameLease({ subnets: { 4: four } }, { subnets: { 4: parseCidr("10.3.2.0/24") } })).toBe(
    false,
  );
});
