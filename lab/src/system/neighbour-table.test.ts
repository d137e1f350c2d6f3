import { expect, test } from "vitest";
import { parseOverflows } from "./neighbour-table.ts";

test("overflows of all processors are added up", () => {
  const text = [
    "entries  allocs   destroys hash_grows unresolved_discards table_fulls",
    "00000038 00707d93 006b2df0 00000008   00000050            00002dbe",
    "00000038 00716b74 0076badf 00000003   00000052            00000002",
    "",
  ].join("\n");
  expect(parseOverflows(text)).toBe(0x2dc0);
});

test("without the column there are none", () => {
  expect(parseOverflows("entries  allocs\n00000038 00707d93\n")).toBe(0);
  expect(parseOverflows("")).toBe(0);
});
