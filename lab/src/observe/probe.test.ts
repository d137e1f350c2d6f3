import { expect, test } from "vitest";
import { parseProbe, parseSent, together } from "./probe.ts";

const answer = (sequence: number): string =>
  `64 bytes from 10.244.2.2: icmp_seq=${sequence} ttl=62 time=0.084 ms\n`;
const summary = (sent: number): string =>
  `\n--- 10.244.2.2 ping statistics ---\n${sent} packets transmitted, 3 received, 25% packet loss, time 30ms\n`;

test("every number answered: none lost", () => {
  expect(parseProbe(answer(1) + answer(2) + answer(3) + summary(3))).toEqual({
    sent: 3,
    received: 3,
    answeredAtMs: [],
  });
});

test("a number that is missing in between is lost", () => {
  expect(parseProbe(answer(1) + answer(3) + answer(4) + summary(4))).toEqual({
    sent: 4,
    received: 3,
    answeredAtMs: [],
  });
});

test("only the very last packet may have been on its way", () => {
  expect(parseProbe(answer(1) + answer(2) + summary(3))).toMatchObject({ sent: 2, received: 2 });
  expect(parseProbe(answer(1) + answer(2) + summary(4))).toMatchObject({ sent: 3, received: 2 });
});

test("a duplicate answer hides no loss", () => {
  expect(parseProbe(answer(1) + answer(1) + answer(3) + summary(3))).toEqual({
    sent: 3,
    received: 2,
    answeredAtMs: [],
  });
});

test("without a summary nothing is known", () => {
  expect(parseProbe(answer(1))).toBeUndefined();
});

test("numbers that start again after 65,535 are others, also when they come out of order", () => {
  const sent = Array.from({ length: 65_540 }, (_, index) => index + 1);
  const swapped = sent.with(65_535, 65_537).with(65_536, 65_536);
  const text = swapped.map((number) => answer(number % 65_536)).join("");
  expect(parseProbe(text + summary(65_540))).toMatchObject({ sent: 65_540, received: 65_540 });
});

test("the longest gap is that in which none of the pings had an answer, whatever their numbers", () => {
  const at = (seconds: string, sequence: number): string => `[${seconds}] ${answer(sequence)}`;
  const texts = [
    at("1700000000.100000", 1) + at("1700000000.400000", 2) + summary(2),
    at("1700000000.110000", 1) + at("1700000000.351000", 9) + summary(9),
  ];
  const record = together(texts.flatMap((text) => parseProbe(text) ?? []));
  expect(record).toMatchObject({ sent: 11, received: 4 });
  expect(record.longestGapMs).toBeCloseTo(241, 1);
});

test("the pod's own counters say how many were sent", () => {
  const snmp = `Ip: Forwarding
Ip: 1
Icmp: InMsgs OutEchos OutEchoReps
Icmp: 7 41 3
`;
  expect(parseSent(`${snmp}Icmp6OutEchos                   \t12\n`)).toBe(53);
  expect(parseSent(snmp)).toBe(41);
  expect(parseSent("")).toBe(0);
});
