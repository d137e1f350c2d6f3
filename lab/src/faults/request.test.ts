import { describe, expect, test } from "vitest";
import { checkFaultRequest, formatRequest, parseDuration, requestOfStep } from "./request.ts";

describe("a step of a scenario", () => {
  test("names hosts by number", () => {
    const request = requestOfStep({ fault: "delete-route", node: 1, peer: 2 });
    expect(request).toEqual({ fault: "delete-route", host: "n1", parameters: { peer: "n2" } });
    expect(formatRequest(request)).toBe("delete-route n1 peer=n2");
  });

  test("gets the defaults of what it leaves out, and keeps what it says", () => {
    expect(requestOfStep({ fault: "partition", node: 3, from: "store", forMs: 50 })).toEqual({
      fault: "partition",
      host: "n3",
      parameters: { from: "store", direction: "both" },
      forMs: 50,
    });
    expect(requestOfStep({ fault: "change-mtu", node: 1, mtu: 1400 }).parameters).toEqual({
      mtu: "1400",
    });
  });

  test("of the store has no host", () => {
    expect(requestOfStep({ fault: "stop-store" })).toEqual({ fault: "stop-store", parameters: {} });
  });
});

test.each([
  [{ fault: "kill-agent", host: "pod", parameters: {} }, '"pod" is no host name'],
  [
    { fault: "change-mac", host: "n1", parameters: { link: "a/b" } },
    "--link wants the name of a link",
  ],
  [{ fault: "loss", host: "n1", parameters: { percent: "1e1" } }, "--percent wants a whole number"],
  [
    { fault: "loss", host: "n1", parameters: { percent: "5", toString: "x" } },
    "takes no --toString",
  ],
  [
    { fault: "jitter", host: "n1", parameters: { ms: "30", seed: "2147483648" } },
    "--seed wants a whole number from 0 to 2147483647",
  ],
  [{ fault: "clock-jump", host: "n1", parameters: { by: "hour" } }, "--by wants a time"],
  [{ fault: "clock-jump", host: "n1", parameters: { by: "1s" } }, "--by can be from 60000 ms"],
])("a request that cannot be is refused: %j", (request, message) => {
  expect(() => checkFaultRequest(request)).toThrow(message);
});

test.each([
  ["500ms", 500],
  ["10s", 10_000],
  ["2m", 120_000],
  ["1h", 3_600_000],
])("%s are %d milliseconds", (text, ms) => {
  expect(parseDuration("--for", text)).toBe(ms);
});

test.each(["", "10", "s", "-1s", "1.5s", "1 s", "1d"])("%j is no time", (text) => {
  expect(() => parseDuration("--for", text)).toThrow("--for wants a time");
});
