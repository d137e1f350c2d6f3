import { expect, test } from "vitest";
import { parseProbe } from "./probe.ts";

const answer = (sequence: number): string =>
  `64 bytes from 10.244.2.2: icmp_seq=${sequence} ttl=62 time=0.084 ms\n`;
const summary = (sent: number): string =>
  `\n--- 10.244.2.2 ping statistics ---\n${sent} packets transmitted, 3 received, 25% packet loss, time 30ms\n`;

test("every number answered: none lost", () => {
  expect(parseProbe(answer(1) + answer(2) + answer(3) + summary(3))).toEqual({
    sent: 3,
    received: 3,
  });
});

test("a number that is missing in between is lost", () => {
  expect(parseProbe(answer(1) + answer(3) + answer(4) + summary(4))).toEqual({
    sent: 4,
    received: 3,
  });
});

test("only the very last packet may have been on its way", () => {
  expect(parseProbe(answer(1) + answer(2) + summary(3))).toEqual({ sent: 2, received: 2 });
  expect(parseProbe(answer(1) + answer(2) + summary(4))).toEqual({ sent: 3, received: 2 });
});

test("a duplicate answer hides no loss", () => {
  expect(parseProbe(answer(1) + answer(1) + answer(3) + summary(3))).toEqual({
    sent: 3,
    received: 2,
  });
});

test("without a summary nothing is known", () => {
  expect(parseProbe(answer(1))).toBeUndefined();
});
