import { describe, expect, it } from "vitest";
import type { HostStatus, LabStatus } from "../lab.ts";
import { matchHosts, splitCommand } from "./exec.ts";

const STATUS: LabStatus = {
  name: "default",
  hosts: ["n1", "n2", "n10"].map((name): HostStatus => ({
    name,
    segment: 1,
    publicIps: [],
    subnets: [],
    state: "ready",
    podIps: [],
    anchorPid: 1,
    peers: { routed: 0, known: 0 },
  })),
  store: {
    endpoint: "http://192.0.2.2:2379",
    members: [{ name: "etcd", anchorPid: 2 }],
    version: "3.4.23",
  },
};

describe("lab exec", () => {
  it.each([
    ["n1 -- ip --help", ["n1"], ["ip", "--help"]],
    ["n1 ip --help", ["n1"], ["ip", "--help"]],
    ["--name x n1 --pod ip -br addr", ["--name", "x", "n1", "--pod"], ["ip", "-br", "addr"]],
    ["n1 --name x --pod -- a -- b", ["n1", "--name", "x", "--pod"], ["a", "--", "b"]],
    ["--pod n1 a --pod", ["--pod", "n1"], ["a", "--pod"]],
    ["n1 --help", ["n1", "--help"], []],
    ["--help", ["--help"], []],
    ["n1", ["n1"], []],
  ])("takes %j apart", (line, own, command) => {
    expect(splitCommand(line.split(" "))).toEqual({ own, command });
  });

  it.each([
    ["n1", ["n1"]],
    ["n2,n1,n2", ["n2", "n1"]],
    ["n*", ["n1", "n2", "n10"]],
    ["*", ["n1", "n2", "n10"]],
    ["n1*", ["n1", "n10"]],
    ["etcd,n1", ["etcd", "n1"]],
  ])("reads %j as hosts", (pattern, names) => {
    expect(matchHosts(pattern, STATUS)).toEqual(names);
  });

  it.each(["n3", "n", "", "n1,,n2", "n.", "x*", "n1;n2", "n1."])("knows no host %j", (pattern) => {
    expect(() => matchHosts(pattern, STATUS)).toThrow(/there is no host .* n1, n2, n10, etcd/);
  });
});
