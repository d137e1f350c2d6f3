import { expect, test } from "vitest";
import { parseCidr } from "../core/ip.ts";
import { healthzPage, readyzPage, reportPage } from "./pages.ts";
import type { Report } from "./pages.ts";
import { finish } from "../system/slices.ts";

test("alive is always 200, in the reference's words", () => {
  expect(healthzPage()).toMatchObject({ status: 200, body: "flanneld is running" });
});

test("ready says so; not ready says why and what it waits for, after the reference's words", () => {
  const stage = "waiting for the network config";
  expect(readyzPage({ ready: true, hindrances: [], stage: "running" }, false)).toMatchObject({
    status: 200,
    body: "flanneld is ready",
  });
  const page = readyzPage(
    { ready: false, hindrances: ["starting", "lease missing"], stage },
    false,
  );
  expect(page).toMatchObject({
    status: 503,
    body:
      "flanneld is not ready yet\n" +
      "- kernel and subnet file do not yet hold what the store says (waiting for the network config)\n" +
      "- the store has the lease of this node no more\n",
  });
});

test("a report is its JSON, made in as many steps as there are peers and objects", () => {
  const lease = { subnets: { 4: parseCidr("10.42.2.0/24") }, publicIps: {}, backendType: 'vx"lan' };
  const route = { kind: "blackhole", destination: parseCidr("10.42.1.0/24") } as const;
  const report: Report = {
    version: "0.1.0",
    uptimeSeconds: 1.5,
    subnetFile: "/run/\u2028/subnet.env",
    state: {
      stage: "running",
      ready: true,
      hindrances: [],
      peers: Array.from({ length: 100 }, () => lease),
      complaints: ["a\nb"],
      refusals: [],
      passes: [],
    },
    wish: {
      scope: { links: [], networks: [], sysctls: [] },
      objects: Array.from({ length: 100 }, () => route),
    },
  };
  expect(finish(reportPage(report)).body).toBe(JSON.stringify(report));
  expect([...reportPage(report)].length).toBeGreaterThanOrEqual(200);
});

test("on request an agent that was ready once stays so, as the reference", () => {
  const lost = { ready: false, hindrances: ["lease missing"], stage: "running" } as const;
  expect(readyzPage(lost, true).status).toBe(200);
});
