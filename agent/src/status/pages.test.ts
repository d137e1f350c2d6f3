import { expect, test } from "vitest";
import { healthzPage, readyzPage } from "./pages.ts";

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

test("on request an agent that was ready once stays so, as the reference", () => {
  const lost = { ready: false, hindrances: ["lease missing"], stage: "running" } as const;
  expect(readyzPage(lost, true).status).toBe(200);
});
