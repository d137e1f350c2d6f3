import { expect, it } from "vitest";
import { bypassText, devicesOf, wireText } from "./wire.ts";

it("takes frames at the host's port, in each direction but those that it carried", () => {
  expect(wireText({ table: "lab_f1", port: "n1", direction: "both" })).toMatchInlineSnapshot(`
    "table netdev lab_f1 {
      chain in {
        type filter hook egress device "n1" priority -400; policy accept;
        meta mark { 0x77697265, 0x6475706c } accept
        oif "n1" counter fwd to "wire-n1-in"
      }
      chain out {
        type filter hook ingress device "n1" priority -400; policy accept;
        ether saddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 ether saddr set ether saddr & fe:ff:ff:ff:ff:ff accept
        iif "n1" counter fwd to "wire-n1-out"
      }
    }
    "
  `);
});

it("takes only those of its direction", () => {
  const incoming = wireText({ table: "lab_f1", port: "n1", direction: "in" });
  const outgoing = wireText({ table: "lab_f1", port: "n1", direction: "out" });
  expect([incoming.includes("ingress"), incoming.includes("egress")]).toEqual([false, true]);
  expect([outgoing.includes("ingress"), outgoing.includes("egress")]).toEqual([true, false]);
});

it("lets all pass before it goes, and sets right what is still under way", () => {
  expect(bypassText({ table: "lab_f1", port: "n1", direction: "both" })).toMatchInlineSnapshot(`
    "flush chain netdev lab_f1 in
    flush chain netdev lab_f1 out
    add rule netdev lab_f1 out ether saddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 ether saddr set ether saddr & fe:ff:ff:ff:ff:ff accept
    "
  `);
  expect(bypassText({ table: "lab_f1", port: "n1", direction: "in" })).toMatchInlineSnapshot(`
    "flush chain netdev lab_f1 in
    "
  `);
});

it("has devices whose names the kernel takes, whatever the host's", () => {
  const names = devicesOf({ table: "lab_f1", port: "n256", direction: "both" });
  expect(names).toEqual(["wire-n256-in", "wire-n256-out"]);
  expect(names.every((name) => name.length < 16)).toBe(true);
});
