import { expect, test } from "vitest";
import { filterText } from "./packet-filter.ts";

test("a filter stands where frames come from the host and where they leave for it", () => {
  const plan = { table: "lab_f1", port: "n1", routers: ["172.31.1.1", "fd00:31:0:1::1"] };
  const drop = { ...plan, verdict: "counter drop" };
  expect(filterText({ ...drop, direction: "both", from: "peers" })).toMatchInlineSnapshot(`
    "table netdev lab_f1 {
      chain from-host {
        type filter hook ingress device "n1" priority 0; policy accept;
        ip daddr 172.31.1.2 accept
        ip daddr 172.31.1.1 accept
        ip6 daddr fd00:31:0:1::1 accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        meta protocol { ip, ip6 } counter drop
      }
      chain to-host {
        type filter hook egress device "n1" priority 0; policy accept;
        ip saddr 172.31.1.2 accept
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
        ip saddr 172.31.1.2 counter drop
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
