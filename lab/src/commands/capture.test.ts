import { expect, it } from "vitest";
import { captureCommand } from "./capture.ts";

const WISHES = { interfaceName: "eth0", count: 100, forMs: 10_000, filter: ["icmp", "or", "arp"] };

const AS_ROOT = { usesUserNamespace: false };

it("asks no change of user where there is none to change to", () => {
  expect(captureCommand(WISHES, { usesUserNamespace: true }).join(" ")).toContain(
    "10s tcpdump -nn -i eth0 -c 100 ",
  );
});

it("asks tcpdump for lines, and lets time(out) end it", () => {
  expect(captureCommand(WISHES, AS_ROOT).join(" ")).toMatchInlineSnapshot(
    `"timeout --foreground --preserve-status --signal=INT 10s tcpdump -Z root -nn -i eth0 -c 100 -l -- icmp or arp"`,
  );
});

it("lets a shell write the file, whatever its name", () => {
  const command = captureCommand(
    { ...WISHES, forMs: 500, file: "$(x) y.pcap", filter: ["-w"] },
    AS_ROOT,
  );
  expect(command).toMatchInlineSnapshot(`
    [
      "sh",
      "-c",
      "exec "$@" >"$0"",
      "$(x) y.pcap",
      "timeout",
      "--foreground",
      "--preserve-status",
      "--signal=INT",
      "0.5s",
      "tcpdump",
      "-Z",
      "root",
      "-nn",
      "-i",
      "eth0",
      "-c",
      "100",
      "-U",
      "-w",
      "-",
      "--",
      "-w",
    ]
  `);
});
