import { describe, expect, it } from "vitest";
import { parseLease } from "./leases.ts";

const entry = (key: string, value: string): Parameters<typeof parseLease>[0] => ({
  key,
  value,
  modRevision: 2,
  createRevision: 2,
  leaseId: "7587",
});
const VALUE = '{"PublicIP":"192.0.2.11","PublicIPv6":null}';

describe("a lease in the store", () => {
  it("is read from the end of its key", () => {
    expect(parseLease(entry("/coreos.com/network/subnets/10.5.52.0-24", VALUE))).toEqual({
      key: "/coreos.com/network/subnets/10.5.52.0-24",
      subnets: ["10.5.52.0/24"],
      publicIp: "192.0.2.11",
      leaseId: "7587",
    });
  });

  it("has a second subnet in dual stack", () => {
    const lease = parseLease(entry("/x/subnets/10.12.13.0-24&fd00:12:13::-56", VALUE));
    expect(lease?.subnets).toEqual(["10.12.13.0/24", "fd00:12:13::/56"]);
  });

  it.each([
    ["/x/config", VALUE],
    ["/x/subnets/10.12.13-24", VALUE],
    ["/x/subnets/10.12.13.300-24", VALUE],
    ["/x/subnets/10.12.13.0-24hi", VALUE],
    ["/x/subnets/10.12.13.0-33", VALUE],
    ["/x/subnets/10.12.13.0-24", "{"],
    ["/x/subnets/10.12.13.0-24", "null"],
    ["/x/subnets/10.12.13.0-24", '{"PublicIP":null}'],
    ["/x/subnets/10.12.13.0-24", '{"PublicIP":"0.0.0.0"}'],
  ])("is none in %s with %s", (key, value) => {
    expect(parseLease(entry(key, value))).toBeUndefined();
  });
});
