import { expect, it } from "vitest";
import { parsePingOutput } from "./ping-output.ts";

it("reads iputils, busybox and lost packets, and leaves out what did not count", () => {
  const text = `== 10.244.1.2
PING 10.244.1.2 (10.244.1.2) 56(84) bytes of data.

--- 10.244.1.2 ping statistics ---
3 packets transmitted, 3 received, 0% packet loss, time 402ms
rtt min/avg/max/mdev = 0.045/0.061/0.080/0.014 ms
== 10.244.2.2
PING 10.244.2.2 (10.244.2.2) 56(84) bytes of data.

--- 10.244.2.2 ping statistics ---
1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms

== fd00:10:244:3::2
PING fd00:10:244:3::2 (fd00:10:244:3::2): 56 data bytes

--- fd00:10:244:3::2 ping statistics ---
2 packets transmitted, 1 packets received, 50% packet loss
round-trip min/avg/max = 0.112/0.112/0.112 ms
== 10.244.4.2
ping: connect: Network is unreachable
`;
  expect([...parsePingOutput(text)]).toEqual([
    ["10.244.1.2", { sent: 3, received: 3, averageMs: 0.061 }],
    ["10.244.2.2", { sent: 1, received: 0 }],
    ["fd00:10:244:3::2", { sent: 2, received: 1, averageMs: 0.112 }],
  ]);
});
