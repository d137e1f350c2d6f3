import { expect, test } from "vitest";
import { copierText } from "./duplicate/index.ts";
import { filterText, parseAnswers } from "./packet-filter.ts";

test("a filter stands where frames come from the host and where they leave for it", () => {
  const plan = { table: "lab_f1", port: "n1", routers: ["172.31.1.1", "fd00:31:0:1::1"] };
  const drop = { ...plan, verdict: "counter drop" };
  expect(filterText({ ...drop, direction: "both", from: "peers" })).toMatchInlineSnapshot(`
    "table netdev lab_f1 {
      chain from-host {
        type filter hook ingress device "n1" priority 0; policy accept;
        ip daddr 172.31.1.2-172.31.1.6 accept
        ip daddr 172.31.1.1 accept
        ip6 daddr fd00:31:0:1::1 accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        meta protocol { ip, ip6 } counter drop
      }
      chain to-host {
        type filter hook egress device "n1" priority 0; policy accept;
        ip saddr 172.31.1.2-172.31.1.6 accept
        ip saddr 172.31.1.1 accept
        ip6 saddr fd00:31:0:1::1 accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        meta protocol { ip, ip6 } counter drop
      }
    }
    "
  `);
  expect(filterText({ ...drop, direction: "in", from: "store" })).toMatchInlineSnapshot(`
    "table netdev lab_f1 {
      chain to-host {
        type filter hook egress device "n1" priority 0; policy accept;
        ip saddr 172.31.1.2-172.31.1.6 counter drop
      }
    }
    "
  `);
  expect(filterText({ ...drop, direction: "out", from: "all" })).toMatchInlineSnapshot(`
    "table netdev lab_f1 {
      chain from-host {
        type filter hook ingress device "n1" priority 0; policy accept;
        counter drop
      }
    }
    "
  `);
});

test("a filter for one host knows it by its hardware address and its own; one for a flow by that alone", () => {
  const plan = {
    table: "lab_f1",
    port: "n1",
    routers: [],
    direction: "out",
    verdict: "drop",
  } as const;
  const addresses = ["172.31.1.12", "fd00:31:0:1::c"];
  expect(filterText({ ...plan, from: { macs: ["02:00:ac:1f:01:0c"], addresses } }))
    .toMatchInlineSnapshot(`
    "table netdev lab_f1 {
      chain from-host {
        type filter hook ingress device "n1" priority 0; policy accept;
        ether daddr 02:00:ac:1f:01:0c drop
        ip daddr 172.31.1.12 drop
        ip6 daddr fd00:31:0:1::c drop
      }
    }
    "
  `);
  expect(
    filterText({
      ...plan,
      direction: "in",
      from: { macs: [], addresses, match: "udp dport 8472" },
    }),
  ).toMatchInlineSnapshot(`
    "table netdev lab_f1 {
      chain to-host {
        type filter hook egress device "n1" priority 0; policy accept;
        ip saddr 172.31.1.12 udp dport 8472 drop
        ip6 saddr fd00:31:0:1::c udp dport 8472 drop
      }
    }
    "
  `);
});

test("all is sent twice without drawing a number: nft refuses one that is always below its limit", () => {
  expect(copierText("lab_f1", "n1", 99)).toContain("    numgen random mod 100 < 99 meta mark set");
  expect(copierText("lab_f1", "n1", 100)).toContain("\n    meta mark set");
});

test("what is sent twice is marked, so that the copy is not copied", () => {
  expect(copierText("lab_f1", "n1", 40)).toMatchInlineSnapshot(`
    "table netdev lab_f1 {
      chain copy {
        type filter hook egress device "n1" priority 0; policy accept;
        meta mark 0x6475706c return
        numgen random mod 100 < 40 meta mark set 0x6475706c counter dup to "n1"
      }
    }
    "
  `);
});

test("answers of ping are counted by how they came", () => {
  const text = `PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.
64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=20.3 ms
64 bytes from 192.0.2.1: icmp_seq=3 ttl=64 time=0.051 ms
64 bytes from 192.0.2.1: icmp_seq=2 ttl=64 time=20.1 ms
64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=20.4 ms (DUP!)
64 bytes from 192.0.2.1: icmp_seq=4 ttl=64 time=20.2 ms

--- 192.0.2.1 ping statistics ---
5 packets transmitted, 4 received, +1 duplicates, +2 corrupted, 20% packet loss, time 8ms
rtt min/avg/max/mdev = 0.051/16.210/20.400/8.081 ms
`;
  expect(parseAnswers(text)).toEqual({
    duplicates: 1,
    corrupted: 2,
    overtaken: 1,
    roundTripMs: { min: 0.051, max: 20.4 },
  });
  const none = "5 packets transmitted, 0 received, 100% packet loss, time 4ms";
  expect(parseAnswers(none)).toEqual({ duplicates: 0, corrupted: 0, overtaken: 0 });
});
