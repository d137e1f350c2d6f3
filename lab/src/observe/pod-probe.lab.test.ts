import { requires } from "linux/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Anchor, openAnchor } from "../hosts/anchor.ts";
import { systemClock } from "../system/clock.ts";
import { runChecked } from "../system/processes.ts";
import { PodProbe } from "./pod-probe.ts";

/** A pod that reaches itself. */
const SCRIPT =
  "ip link set lo up && echo 0 0 > /proc/sys/net/ipv4/ping_group_range && echo ready && exec sleep infinity";
const ADDRESSES = ["127.0.0.1", "::1"];
const IGNORE_ALL = "/proc/sys/net/ipv4/icmp_echo_ignore_all";
/** No process has a number as high. Source: proc(5), /proc/sys/kernel/pid_max. */
const NO_PROCESS = 2 ** 22 + 1;

requires("netns")("a probe from a pod", () => {
  let pod: Anchor;

  beforeAll(async () => {
    pod = await openAnchor(SCRIPT, []);
  });

  afterAll(async () => {
    await pod.close();
  });

  const inPod = (script: string): Promise<string> =>
    runChecked(pod.enter(["sh", "-ec", script]), {});

  it("counts an answer to each packet where nothing is lost, in both families", async () => {
    const probe = await PodProbe.start(systemClock, { name: "n1", pid: pod.pid }, ADDRESSES);
    const records = await probe.stop(1000);
    expect(records.map(({ name }) => name)).toEqual(["n1 → 127.0.0.1", "n1 → ::1"]);
    for (const { sent, received } of records) {
      expect(sent).toBeGreaterThanOrEqual(500);
      expect(received).toBe(sent);
    }
  });

  it("waits for answers that are on their way at its end", async () => {
    const probe = await PodProbe.start(systemClock, { name: "n1", pid: pod.pid }, ADDRESSES);
    expect(await probe.stop(1)).toMatchObject([
      { sent: 1, received: 1 },
      { sent: 1, received: 1 },
    ]);
  });

  it("takes nothing for lost because this process has much else to do", async () => {
    const probe = await PodProbe.start(systemClock, { name: "n1", pid: pod.pid }, ADDRESSES);
    for (let pause = 0; pause < 60; pause += 1) {
      const until = systemClock.nowMs() + 30;
      while (systemClock.nowMs() < until);
      await systemClock.sleep(0);
    }
    for (const { sent, received } of await probe.stop(1)) {
      expect(sent).toBeGreaterThanOrEqual(600);
      expect(received).toBe(sent);
    }
  });

  it("sees what is not answered, and for how long nothing was", async () => {
    const probe = await PodProbe.start(systemClock, { name: "n1", pid: pod.pid }, ADDRESSES);
    await inPod("true"); // Meanwhile there are answers.
    await inPod(`echo 1 > ${IGNORE_ALL}; sleep 0.2; echo 0 > ${IGNORE_ALL}`);
    const [ipv4, ipv6] = await probe.stop(2000);
    expect((ipv4?.sent ?? 0) - (ipv4?.received ?? 0)).toBeGreaterThanOrEqual(100);
    expect(ipv4?.longestGapMs).toBeGreaterThanOrEqual(200);
    expect(ipv4?.longestGapMs).toBeLessThan(2000);
    expect(ipv6?.received).toBe(ipv6?.sent);
  });

  it("does not begin in a pod that is gone", async () => {
    const start = PodProbe.start(systemClock, { name: "n1", pid: NO_PROCESS }, ADDRESSES);
    await expect(start).rejects.toMatchObject({ code: "command-failed" });
  });
});
