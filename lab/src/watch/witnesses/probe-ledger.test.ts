import { describe, expect, it } from "vitest";
import { LOST_AFTER_MS, ProbeLedger } from "./probe-ledger.ts";

/** Sends 50 packets a second from 0 on, delivers those whose number `arrives`. */
function play(count: number, arrives: (number: number) => boolean): ProbeLedger {
  const ledger = new ProbeLedger();
  for (let index = 0; index < count; index += 1) {
    const number = ledger.send(index * 20);
    if (arrives(number)) {
      ledger.receive(number);
    }
    ledger.settle(index * 20);
  }
  return ledger;
}

describe("the ledger of a probed pair", () => {
  it("accounts for every packet when all arrive", () => {
    const ledger = play(100, () => true);
    expect(ledger.interrupt(2000)).toEqual([]);
    expect(ledger).toMatchObject({
      sent: 100,
      received: 100,
      duplicates: 0,
      reordered: 0,
      gaps: [],
    });
  });

  it("measures a gap from its first lost packet to the first that arrives again", () => {
    const ledger = play(200, (number) => number < 50 || number >= 60);
    expect(ledger.gaps).toEqual([{ beginMs: 1000, lengthMs: 200, lost: 10 }]);
    expect(ledger).toMatchObject({ sent: 200, received: 190 });
  });

  it("tells two gaps apart, and a gap that never ends, to the end", () => {
    const ledger = play(200, (number) => number !== 10 && number !== 12 && number < 100);
    expect(ledger.interrupt(199 * 20 + LOST_AFTER_MS + 1)).toEqual([
      { beginMs: 2000, lengthMs: 2981, lost: 100, isFirst: false },
    ]);
    expect(ledger.gaps.slice(0, 2)).toEqual([
      { beginMs: 200, lengthMs: 20, lost: 1 },
      { beginMs: 240, lengthMs: 20, lost: 1 },
    ]);
    expect(ledger).toMatchObject({ sent: 200, received: 98 });
  });

  it("does not count what may be on its way", () => {
    const ledger = play(10, () => false);
    expect(ledger.interrupt(200)).toEqual([]);
    expect(ledger).toMatchObject({ sent: 0, received: 0 });
  });

  it("forgets what is on its way when the lab itself takes the way away", () => {
    const ledger = play(10, (number) => number < 5);
    expect(ledger.interrupt(200)).toEqual([]);
    ledger.send(5000);
    ledger.receive(10);
    expect(ledger.interrupt(5001)).toEqual([]);
    expect(ledger).toMatchObject({ sent: 6, received: 6, gaps: [] });
  });

  it("ends a gap of the last second where packets arrive again", () => {
    const ledger = play(100, (number) => number < 50 || number >= 60);
    expect(ledger.interrupt(1985)).toEqual([
      { beginMs: 1000, lengthMs: 200, lost: 10, isFirst: false },
    ]);
    expect(ledger).toMatchObject({ sent: 100, received: 90 });
    // What is only overtaken may come yet.
    const reordered = play(100, (number) => number !== 95);
    expect(reordered.interrupt(1985)).toEqual([]);
    expect(reordered).toMatchObject({ sent: 99, received: 99 });
  });

  it("says whether anything had come this way before a gap", () => {
    const ledger = play(40, (number) => number >= 10);
    expect(ledger.interrupt(790)).toEqual([{ beginMs: 0, lengthMs: 200, lost: 10, isFirst: true }]);
    const late = new ProbeLedger();
    late.send(0);
    late.receive(0);
    late.interrupt(10);
    late.send(20);
    expect(late.settle(20 + LOST_AFTER_MS + 1)).toEqual([]);
    expect(late.interrupt(2000)).toEqual([{ beginMs: 20, lengthMs: 1980, lost: 1, isFirst: true }]);
  });

  it("ends a gap that is open when the way is taken away", () => {
    const ledger = play(100, (number) => number < 10);
    expect(ledger.interrupt(2000)).toEqual([
      { beginMs: 200, lengthMs: 1800, lost: 40, isFirst: false },
    ]);
    expect(ledger.interrupt(9000)).toEqual([]);
  });

  it("counts duplicates and reordering, and takes a late packet for lost", () => {
    const ledger = new ProbeLedger();
    [0, 20, 40].forEach((at) => ledger.send(at));
    [0, 99, 2, 1, 1].forEach((number) => {
      ledger.receive(number);
    });
    ledger.settle(60);
    ledger.receive(0);
    expect(ledger).toMatchObject({ sent: 3, received: 3, duplicates: 2, reordered: 1, gaps: [] });
    const late = play(100, (number) => number !== 5);
    late.receive(5);
    expect(late).toMatchObject({ received: 99, reordered: 1, duplicates: 0 });
    expect(late.gaps).toHaveLength(1);
  });
});
