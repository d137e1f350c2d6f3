import { expect, test } from "vitest";
import { Chronicle } from "./chronicle.ts";
import { systemClock } from "./system/clock.ts";

const started = (pid: number) => ({ type: "agent-started", host: "n1", pid }) as const;

test("a reader gets what happened after what it knows, and waits for more", async () => {
  const chronicle = new Chronicle(systemClock);
  const { signal } = new AbortController();
  chronicle.add(started(1));
  chronicle.add(started(2));
  expect(await chronicle.read(1, signal)).toMatchObject({
    events: [{ event: started(2) }],
    count: 2,
  });
  const more = chronicle.read(2, signal);
  chronicle.add(started(3));
  const { events, count } = await more;
  expect(count).toBe(3);
  expect(events.map(({ event }) => event)).toEqual([started(3)]);
  expect(events[0]?.agoMs).toBeGreaterThanOrEqual(0);
});

test("an abort ends the waiting, and loses nothing", async () => {
  const chronicle = new Chronicle(systemClock);
  const controller = new AbortController();
  const waiting = chronicle.read(0, controller.signal);
  controller.abort();
  expect(await waiting).toEqual({ events: [], count: 0 });
  chronicle.add(started(1));
  expect((await chronicle.read(0, controller.signal)).count).toBe(1);
});
