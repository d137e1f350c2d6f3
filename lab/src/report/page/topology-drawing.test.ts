import { expect, it } from "vitest";
import { drawTopology } from "./topology-drawing.ts";

it("draws each member of the store", () => {
  const drawn = drawTopology({
    type: "topology",
    at: 0,
    segments: [{ name: "seg1", addresses: ["192.0.2.1/24"] }],
    hosts: [{ name: "n1", segment: "seg1", publicIps: ["192.0.2.11"] }],
    store: {
      name: "etcd",
      segment: "seg1",
      endpoint: "http://192.0.2.2:2379,http://192.0.2.3:2379",
    },
  });
  const texts = [...drawn.matchAll(/<text[^>]*>([^<]+)/g)].map(([, text]) => text);
  expect(texts).toEqual(
    expect.arrayContaining(["etcd", "192.0.2.2:2379", "etcd2", "192.0.2.3:2379", "n1"]),
  );
});
