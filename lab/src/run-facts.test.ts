import { expect, test } from "vitest";
import { OTHER_NETWORKS, formatNetworkConfig } from "./network-config.ts";
import { factsOfLab, factsOfVariant } from "./run-facts.ts";

test("routes of agents are those to the lab's own network, and to that of a renumbered cluster", () => {
  const networkConfigText = formatNetworkConfig({ network: "10.7.0.0/16", backend: "host-gw" });
  expect(factsOfLab({ networkConfigText, families: ["ipv4"] })).toMatchObject({
    backend: "host-gw",
    networks: { ipv4: ["10.7.0.0/16", OTHER_NETWORKS.ipv4], ipv6: [OTHER_NETWORKS.ipv6] },
  });
});

test("a scenario leases from the networks that a lab has by itself", () => {
  const variant = { backend: "vxlan", family: "dual", segments: 1 } as const;
  expect(factsOfVariant(variant).networks).toEqual({
    ipv4: ["10.244.0.0/16", OTHER_NETWORKS.ipv4],
    ipv6: ["fd00:10:244::/48", OTHER_NETWORKS.ipv6],
  });
});
