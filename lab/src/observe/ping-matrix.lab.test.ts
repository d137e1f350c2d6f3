import { requires } from "linux/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Anchor, openAnchor } from "../hosts/anchor.ts";
import { systemClock } from "../system/clock.ts";
import { planPings, runPings } from "./ping-matrix.ts";

/** A pod that reaches itself and nobody else. */
const SCRIPT =
  "ip link set lo up && echo 0 0 > /proc/sys/net/ipv4/ping_group_range && echo ready && exec sleep infinity";
/** No process has a number as high. Source: proc(5), /proc/sys/kernel/pid_max. */
const NO_PROCESS = 2 ** 22 + 1;

requires("netns")("pings from pod to pod", () => {
  let pod: Anchor;

  beforeAll(async () => {
    pod = await openAnchor(SCRIPT, []);
  });

  afterAll(async () => {
    await pod.close();
  });

  it("count answers and their time; who is not there, or cannot be reached, is lost", async () => {
    const end = (name: string, pid: number | undefined, ...addresses: string[]) => ({
      name,
      segment: 1,
      pid,
      addresses: addresses.map((address) => ({
        family: address.includes(":") ? ("ipv6" as const) : ("ipv4" as const),
        address,
      })),
    });
    const ends = [
      end("n1", pod.pid, "127.0.0.1", "::1"),
      end("n2", pod.pid, "10.9.9.9"),
      end("gone", NO_PROCESS, "127.0.0.3"),
      end("absent", undefined),
    ];
    const plans = planPings(ends, ["ipv4", "ipv6"], () => true);
    const pairs = await runPings(plans, { count: 2, waitMs: 300 }, systemClock);
    expect(pairs).toHaveLength(24);
    expect(new Set(pairs.map(({ sent }) => sent))).toEqual(new Set([2]));
    const answered = pairs.filter(({ received }) => received > 0);
    expect(
      answered.map(({ from, to, family, received }) => `${from} ${to} ${family} ${received}`),
    ).toEqual(["n1 gone ipv4 2", "n2 n1 ipv4 2", "n2 n1 ipv6 2", "n2 gone ipv4 2"]);
    for (const { averageMs } of answered) {
      expect(averageMs).toBeGreaterThan(0);
      expect(averageMs).toBeLessThan(300);
    }
    expect(
      pairs
        .filter(({ received }) => received === 0)
        .every(({ averageMs }) => averageMs === undefined),
    ).toBe(true);
  });
});
