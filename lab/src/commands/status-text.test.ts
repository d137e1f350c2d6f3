import { expect, it } from "vitest";
import type { HostStatus } from "../lab.ts";
import { formatDuration, formatNodes, nodeDocument } from "./status-text.ts";

const READY: HostStatus = {
  name: "n1",
  segment: 1,
  publicIps: ["192.0.2.11", "2001:db8::b"],
  subnets: ["10.244.7.0/24", "fd00:10:244:7::/64"],
  state: "ready",
  agentPid: 30,
  uptimeMs: 4249,
  podIps: ["10.244.7.2"],
  mtu: 1450,
  anchorPid: 20,
  podAnchorPid: 40,
  peers: { routed: 1, known: 2 },
};
const EXITED: HostStatus = {
  name: "n2",
  segment: 2,
  publicIps: ["192.0.2.12"],
  subnets: [],
  state: "exited",
  exit: "code 1",
  podIps: [],
  anchorPid: 21,
  peers: { routed: 0, known: 1 },
};

it("lists hosts with the process ids that the caller sees", () => {
  const status = {
    name: "default",
    hosts: [READY, EXITED],
    store: {
      endpoint: "http://192.0.2.2:2379",
      members: [{ name: "etcd", anchorPid: 5 }],
      version: "3.4.23",
    },
  };
  expect(formatNodes(status, new Map([[30, 4711]]))).toMatchInlineSnapshot(`
    "NODE  SEGMENT  PUBLIC IP               SUBNET                            ROUTES  STATE            PID   UP
    n1    1        192.0.2.11 2001:db8::b  10.244.7.0/24 fd00:10:244:7::/64  1/2     ready            4711  4.2 s
    n2    2        192.0.2.12              -                                 0/1     exited (code 1)  -     -
    "
  `);
});

it("says null for what is not there", () => {
  const document = nodeDocument(EXITED, new Map());
  expect(document).toMatchObject({
    subnet: null,
    pid: null,
    uptimeSeconds: null,
    mtu: null,
    exit: "code 1",
  });
});

it.each([
  [0.04, "0.0 s"],
  [59.94, "59.9 s"],
  [187.4, "3m 07s"],
  [7500, "2h 05m"],
])("prints %s seconds as %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
