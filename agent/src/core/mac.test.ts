import { expect, test } from "vitest";
import { AgentError } from "./errors.ts";
import { isUnicastMac, localMac, parseMac } from "./mac.ts";

test.each([
  ["c6:d2:32:6f:8f:44", "c6:d2:32:6f:8f:44"],
  ["C6-D2-32-6F-8F-44", "c6:d2:32:6f:8f:44"],
])("%s is written %s", (text, canonical) => {
  expect(parseMac(text)).toBe(canonical);
});

test.each([
  "",
  "c6:d2:32:6f:8f",
  "c6:d2:32:6f:8f:44:00",
  "c6:d2-32:6f:8f:44",
  "c6d2326f8f44",
  "g6:d2:32:6f:8f:44",
  "c6:d2:32:6f:8f:44\n",
])("%j is refused", (text) => {
  expect(() => parseMac(text)).toThrow(AgentError);
});

test("random bytes become a locally administered unicast address", () => {
  expect(localMac(Uint8Array.of(0xff, 1, 2, 3, 4, 5))).toBe("fe:01:02:03:04:05");
  expect(localMac(new Uint8Array(6))).toBe("02:00:00:00:00:00");
  expect(isUnicastMac(localMac(new Uint8Array(6)))).toBe(true);
});

test("group addresses and zero are no station", () => {
  for (const text of ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"])
    expect(isUnicastMac(parseMac(text))).toBe(false);
});
