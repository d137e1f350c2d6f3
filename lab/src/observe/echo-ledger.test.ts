import { expect, test } from "vitest";
import { EchoLedger } from "./echo-ledger.ts";

const REPLIES = { ipv4: 0, ipv6: 129 } as const;
const SEQUENCE_NUMBERS = 65_536;

/** As the kernel that has the address sends it back. */
function answerTo(request: Buffer, family: keyof typeof REPLIES): Buffer {
  const answer = Buffer.from(request);
  answer[0] = REPLIES[family];
  return answer;
}

test.each(["ipv4", "ipv6"] as const)("every packet answered: none lost (%s)", (family) => {
  const ledger = new EchoLedger(family);
  const requests = [ledger.ask(99), ledger.ask(107), ledger.ask(119)];
  expect(ledger.isAnswered).toBe(false);
  requests.forEach((request, index) => ledger.hear(answerTo(request, family), 100 + 10 * index));
  expect(ledger.isAnswered).toBe(true);
  expect(ledger.figures).toEqual({ sent: 3, received: 3, longestGapMs: 10, averageMs: 5 / 3 });
});

test("an answer that comes twice hides no loss", () => {
  const ledger = new EchoLedger("ipv4");
  const answer = answerTo(ledger.ask(0), "ipv4");
  ledger.ask(0);
  ledger.hear(answer, 1);
  ledger.hear(answer, 2);
  expect(ledger.figures).toMatchObject({ sent: 2, received: 1 });
  expect(ledger.isAnswered).toBe(false);
});

test("what is no answer to what was asked tells nothing", () => {
  const ledger = new EchoLedger("ipv4");
  const request = ledger.ask(0);
  const stranger = new EchoLedger("ipv4");
  stranger.ask(0);
  ledger.hear(request, 1);
  ledger.hear(answerTo(request, "ipv6"), 1);
  ledger.hear(answerTo(stranger.ask(0), "ipv4"), 1);
  ledger.hear(Buffer.from([0]), 1);
  expect(ledger.figures).toEqual({ sent: 1, received: 0, longestGapMs: 0, averageMs: undefined });
});

test("packets whose sequence numbers are the same are told apart", () => {
  const ledger = new EchoLedger("ipv4");
  const requests = Array.from({ length: SEQUENCE_NUMBERS + 1 }, () => ledger.ask(0));
  const [first, last] = [requests[0], requests.at(-1)];
  expect(first?.readUInt16BE(6)).toBe(last?.readUInt16BE(6));
  for (const request of [first, last]) {
    if (request !== undefined) ledger.hear(answerTo(request, "ipv4"), 1);
  }
  expect(ledger.figures.received).toBe(2);
});

test("the longest gap is that in which no answer came, whatever their order", () => {
  const ledger = new EchoLedger("ipv4");
  const requests = Array.from({ length: 4 }, () => answerTo(ledger.ask(0), "ipv4"));
  [2, 0, 3, 1].forEach((number, index) => {
    const answer = requests[number];
    if (answer !== undefined) ledger.hear(answer, [100, 110, 351, 360][index] ?? 0);
  });
  expect(ledger.figures.longestGapMs).toBe(241);
});
