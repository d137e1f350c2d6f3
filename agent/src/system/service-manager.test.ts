import { expect, test } from "vitest";
import { ManualClock } from "./manual-clock.ts";
import { MemoryLog } from "./memory-log.ts";
import { ServiceManager } from "./service-manager.ts";

const PID = 4711;

/** A service manager that keeps what it is told, and can be deaf. */
function listen(environment: Record<string, string> = { NOTIFY_SOCKET: "/run/notify" }): {
  readonly service: ServiceManager | undefined;
  readonly told: string[];
  readonly clock: ManualClock;
  readonly log: MemoryLog;
  readonly ear: { deaf: boolean };
} {
  const told: string[] = [];
  const ear = { deaf: false };
  const clock = new ManualClock();
  const log = new MemoryLog();
  const send = (socket: string, text: string): void => {
    if (ear.deaf) throw new Error(`cannot send a datagram to ${socket}: EAGAIN`);
    told.push(`${socket} ${text.replaceAll("\n", " ")}`);
  };
  const service = ServiceManager.open({ environment, pid: PID, send, clock, log });
  return { service, told, clock, log, ear };
}

test("a service is starting, ready, and stopping once", async () => {
  const { service, told, clock } = listen();
  service?.setReady(false);
  service?.setReady(true);
  service?.setStopping();
  service?.setStopping();
  service?.setReady(false);
  await service?.[Symbol.asyncDispose]();
  expect(told).toEqual([
    "/run/notify STATUS=starting",
    "/run/notify READY=1 STATUS=ready",
    "/run/notify STOPPING=1 STATUS=stopping",
  ]);
  expect(clock.sleeping).toBe(0);
});

test("the line for people goes back whenever the agent is not ready any more", () => {
  const { service, told } = listen({ NOTIFY_SOCKET: "@abstract" });
  for (const ready of [true, false, true]) service?.setReady(ready);
  service?.setReady(false, ["the lease is gone", "no rules"]);
  expect(told.slice(1)).toEqual([
    "@abstract READY=1 STATUS=ready",
    "@abstract STATUS=not ready",
    "@abstract READY=1 STATUS=ready",
    "@abstract STATUS=not ready: the lease is gone; no rules",
  ]);
});

test("one that ends without having been asked to says that it stops", async () => {
  const { service, told } = listen();
  await service?.[Symbol.asyncDispose]();
  expect(told.at(-1)).toBe("/run/notify STOPPING=1 STATUS=stopping");
});

test.each([
  [{}, 0],
  [{ NOTIFY_SOCKET: "" }, 0],
  [{ NOTIFY_SOCKET: "vsock:2:1234" }, 1],
  [{ NOTIFY_SOCKET: "@" }, 1],
])("with %j nobody is told, and %i line says so", (environment, lines) => {
  const { service, told, log } = listen(environment);
  expect(service).toBeUndefined();
  expect(told).toEqual([]);
  expect(log.lines).toHaveLength(lines);
});

test("the watchdog hears of the agent twice in its time, until the end", async () => {
  const environment = { NOTIFY_SOCKET: "/n", WATCHDOG_USEC: "10000000", WATCHDOG_PID: `${PID}` };
  const { service, told, clock } = listen(environment);
  const pings = (): number => told.filter((line) => line === "/n WATCHDOG=1").length;
  expect(pings()).toBe(1);
  await clock.advance(4_999);
  expect(pings()).toBe(1);
  await clock.advance(1);
  expect(pings()).toBe(2);
  await clock.advance(20_000);
  expect(pings()).toBe(6);
  await service?.[Symbol.asyncDispose]();
  await clock.advance(60_000);
  expect(pings()).toBe(6);
});

test.each([
  { WATCHDOG_USEC: "10000000", WATCHDOG_PID: "1" },
  { WATCHDOG_USEC: "0" },
  { WATCHDOG_USEC: "-1" },
  { WATCHDOG_USEC: "10s" },
  { WATCHDOG_USEC: "" },
])("with %j there is no watchdog", async (watchdog) => {
  const { told, clock } = listen({ NOTIFY_SOCKET: "/n", ...watchdog });
  expect(clock.sleeping).toBe(0);
  expect(told).toEqual(["/n STATUS=starting"]);
});

test("what was not taken is sent again each second, and complained of once", async () => {
  const { service, told, clock, log, ear } = listen();
  ear.deaf = true;
  service?.setReady(true);
  await clock.advance(3_500);
  expect(log.lines).toHaveLength(1);
  ear.deaf = false;
  await clock.advance(500);
  expect(told.slice(1)).toEqual(["/run/notify READY=1 STATUS=ready"]);
  await clock.advance(10_000);
  expect(told).toHaveLength(2);
  expect(clock.sleeping).toBe(0);
});

test("of two things that were not taken the newer is sent", async () => {
  const { service, told, clock, ear } = listen();
  service?.setReady(true);
  ear.deaf = true;
  service?.setReady(false);
  service?.setReady(true);
  service?.setReady(false);
  ear.deaf = false;
  await clock.advance(1_000);
  expect(told.slice(2)).toEqual(["/run/notify STATUS=not ready"]);
});

test("nobody listens at the end: it ends all the same", async () => {
  const { service, clock, ear } = listen();
  ear.deaf = true;
  service?.setReady(true);
  await service?.[Symbol.asyncDispose]();
  expect(clock.sleeping).toBe(0);
});

test("whoever waits for a service that serves although it is not ready can start, and people read why", () => {
  const { service, told } = listen();
  service?.setReady(true, ["the store was not reached"]);
  service?.setReady(true);
  expect(told.slice(1)).toEqual([
    "/run/notify READY=1 STATUS=serving, not ready: the store was not reached",
    "/run/notify READY=1 STATUS=ready",
  ]);
});
