import { expect, it } from "vitest";
import {
  formatHappening,
  happeningJson,
  happeningsOfNews,
  happeningsOfRecords,
} from "./happenings.ts";

const NOW = Date.parse("2026-01-02T03:04:05.678Z");

it("says when things that the supervisor told happened", () => {
  const happenings = happeningsOfNews(
    {
      count: 4,
      events: [
        { agoMs: 1000, event: { type: "agent-started", host: "n1", pid: 33 } },
        { agoMs: 600, event: { type: "fault-injected", fault: "f1", name: "x", target: "y" } },
        { agoMs: 500.25, event: { type: "agent-ended", host: "n1", code: 1 } },
        { agoMs: 0, event: { type: "agent-ended", host: "n2", signal: "SIGKILL" } },
      ],
    },
    NOW,
  );
  expect(happenings.map(formatHappening).join("")).toMatchInlineSnapshot(`
    "2026-01-02T03:04:04.678Z  n1: agent started
    2026-01-02T03:04:05.177Z  n1: agent ended, code 1
    2026-01-02T03:04:05.678Z  n2: agent ended, SIGKILL
    "
  `);
  expect(happenings.map(happeningJson)[0]).toBe(
    '{"host":"n1","pid":33,"at":"2026-01-02T03:04:04.678Z","type":"agent-started"}\n',
  );
});

it("reads what the supervisor recorded, and nothing that it did not write", () => {
  const at = "2026-01-02T03:04:05.678Z";
  const records = [
    { at, event: "up", step: "etcd", detail: "3.4.23", ms: 3 },
    { at, event: "host added", host: "n4" },
    { at, event: "agent started", host: "n4" },
    { at, event: "agent killed", host: "n4", signal: "SIGTERM" },
    { at, event: "fault", id: "f1", fault: "delete-route n1 peer=n2", saw: "kernel events" },
    { at, event: "fault", id: "f2", fault: "loss n1 percent=3", saw: null },
    { at, event: "healed", id: "f1", text: "delete-route n1 peer=n2", saw: "a dump" },
    { at, event: "not healed", id: "f2", text: "loss n1 percent=3", trouble: "no nft" },
    { at, event: "store written", key: "/a\u001B[2J", value: "secret" },
    { at, event: "lease expired", key: "/b" },
    { at, event: "something new", depth: 3 },
    { at, noEvent: true },
    7,
  ];
  const text = `${records.map((record) => JSON.stringify(record)).join("\n")}\n{"at": "to`;
  expect(happeningsOfRecords(text).map(formatHappening).join("")).toMatchInlineSnapshot(`
    "2026-01-02T03:04:05.678Z  up: etcd, 3.4.23
    2026-01-02T03:04:05.678Z  n4: host added
    2026-01-02T03:04:05.678Z  n4: the lab sends SIGTERM to the agent
    2026-01-02T03:04:05.678Z  f1 delete-route n1 peer=n2: on, kernel events
    2026-01-02T03:04:05.678Z  f2 loss n1 percent=3: on, nobody saw it
    2026-01-02T03:04:05.678Z  f1 delete-route n1 peer=n2: over, a dump
    2026-01-02T03:04:05.678Z  f2 loss n1 percent=3: still on, no nft
    2026-01-02T03:04:05.678Z  store: written /a\\u{1b}[2J
    2026-01-02T03:04:05.678Z  store: lease expired /b
    2026-01-02T03:04:05.678Z  something-new {"depth":3}
    "
  `);
});
