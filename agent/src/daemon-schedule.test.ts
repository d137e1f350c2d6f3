import { expect, test } from "vitest";
import { Schedule } from "./daemon-schedule.ts";

/** A look that takes so long. */
function look(schedule: Schedule, nowMs: number, costMs: number): void {
  schedule.began(nowMs);
  schedule.ended(nowMs + costMs);
}

test("a sweep comes ten seconds after the look before, whatever that found", () => {
  const schedule = new Schedule();
  look(schedule, 5_000, 200);
  expect(schedule.next).toEqual({ atMs: 15_000, cause: "sweep" });
});

test("a kernel event in quiet times is looked into after its burst", () => {
  const schedule = new Schedule();
  look(schedule, 0, 50);
  schedule.ask("kernel-event", 3_000);
  schedule.ask("kernel-event", 3_050);
  expect(schedule.next).toEqual({ atMs: 3_100, cause: "kernel-event" });
});

test("a storm of events makes one look in 500 ms, and less when a look costs much", () => {
  const schedule = new Schedule();
  look(schedule, 0, 50);
  schedule.ask("kernel-event", 10);
  expect(schedule.next.atMs).toBe(500);
  look(schedule, 500, 200);
  schedule.ask("kernel-event", 600);
  expect(schedule.next.atMs).toBe(1_000);
  look(schedule, 1_000, 500);
  schedule.ask("kernel-event", 1_100);
  expect(schedule.next.atMs).toBe(2_000);
});

test("a look that found other surroundings is followed by the next after a burst, unless looking costs much", () => {
  const schedule = new Schedule();
  schedule.began(1_000);
  schedule.ask("kernel-event", 1_009);
  schedule.ended(1_020, true);
  expect(schedule.next).toEqual({ atMs: 1_109, cause: "kernel-event" });
  schedule.began(1_109);
  schedule.ask("kernel-event", 1_110);
  schedule.ended(1_209, true);
  expect(schedule.next.atMs).toBe(1_309);
});

test("an event during a look asks for another", () => {
  const schedule = new Schedule();
  schedule.began(1_000);
  schedule.ask("kernel-event", 1_020);
  schedule.ended(1_040);
  expect(schedule.next).toEqual({ atMs: 1_500, cause: "kernel-event" });
});

test("the earliest wish counts, with its cause", () => {
  const schedule = new Schedule();
  look(schedule, 0, 10);
  schedule.ask("kernel-event", 5_000);
  schedule.ask("retry", 5_010, 0);
  expect(schedule.next).toEqual({ atMs: 5_010, cause: "retry" });
});

test("a storm of lease changes is taken in by passes that cost a tenth of the time, and by six in a second where they cost much", () => {
  const schedule = new Schedule();
  expect(schedule.partMs).toBeLessThan(0);
  schedule.partEnded(1_000, 1_002);
  expect(schedule.partMs).toBe(1_020);
  schedule.partEnded(1_020, 1_060);
  expect(schedule.partMs).toBe(1_170);
  schedule.partEnded(2_000, 2_400);
  expect(schedule.partMs).toBe(2_400);
});
