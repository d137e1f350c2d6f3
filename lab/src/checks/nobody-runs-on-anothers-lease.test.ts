import { describe, expect, test } from "vitest";
import type { LeaseDetails } from "../observe/lease-details.ts";
import { type HostClaim, nobodyRunsOnAnothersLease } from "./nobody-runs-on-anothers-lease.ts";

const claim = (node: number, agentRuns = true): HostClaim => ({
  host: `n${node}`,
  publicIps: [`172.31.1.1${node}`],
  subnets: [`10.244.${node}.0/24`],
  agentRuns,
});
const lease = (subnet: number, ipv4: string): LeaseDetails => ({
  key: `10.244.${subnet}.0-24`,
  subnets: { ipv4: `10.244.${subnet}.0/24` },
  publicIps: { ipv4 },
  vtepMacs: {},
});
const OWN = lease(2, "172.31.1.12");
const FOREIGN = lease(1, "172.31.1.254");

describe("nobody runs on another's lease", () => {
  test("fails naming the host whose agent goes on with what somebody else holds", () => {
    expect(nobodyRunsOnAnothersLease([claim(1), claim(2)], [FOREIGN, OWN])).toEqual({
      verdict: "fail",
      details: ["n1 runs with 10.244.1.0/24, which 172.31.1.254 holds"],
    });
  });

  test("passes when that agent has ended, or has another subnet", () => {
    const ended = nobodyRunsOnAnothersLease([claim(1, false), claim(2)], [FOREIGN, OWN]);
    expect(ended).toEqual({ verdict: "pass", details: ["no agent runs with 10.244.1.0/24"] });
    const moved = { ...claim(1), subnets: ["10.244.9.0/24"] };
    expect(nobodyRunsOnAnothersLease([moved, claim(2)], [FOREIGN, OWN]).verdict).toBe("pass");
  });

  test("is unknown when every lease is a host's", () => {
    expect(nobodyRunsOnAnothersLease([claim(2)], [OWN]).verdict).toBe("unknown");
    expect(nobodyRunsOnAnothersLease([claim(2)], []).verdict).toBe("unknown");
  });
});
