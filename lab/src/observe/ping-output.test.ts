import { expect, test } from "vitest";
import { parsePingCount } from "./ping-output.ts";

test.each([
  [
    "iputils",
    "3 packets transmitted, 3 received, 0% packet loss, time 402ms\nrtt min/avg/max/mdev = 0.045/0.061/0.080/0.014 ms\n",
    { sent: 3, received: 3 },
  ],
  [
    "errors",
    "1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms\n",
    { sent: 1, received: 0 },
  ],
  [
    "busybox",
    "2 packets transmitted, 1 packets received, 50% packet loss\n",
    { sent: 2, received: 1 },
  ],
  ["no summary", "ping: connect: Network is unreachable\n", undefined],
])("the counts of a ping are read: %s", (_what, text, count) => {
  expect(parsePingCount(text)).toEqual(count);
});
