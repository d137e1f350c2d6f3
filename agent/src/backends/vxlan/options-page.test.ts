/** The table of options in docs/backends.md, compared with what is read. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { AgentError } from "../../core/errors.ts";
import { MemoryLog } from "../../system/memory-log.ts";
import { parseVxlanOptions } from "./config.ts";

const PAGE = await readFile(new URL("../../../../docs/backends.md", import.meta.url), "utf8");
const [, TABLE = ""] = PAGE.split("| vxlan option |");
const OPTIONS = [...TABLE.matchAll(/^\| `(\w+)` \| `([^`]+)` \| ([^|]+) \|/gm)].map(
  ([, name = "", byDefault = "", limits = ""]) => ({ name, byDefault, limits }),
);

test("has every option, and none that is unknown", () => {
  const log = new MemoryLog();
  parseVxlanOptions({ Tpye: "vxlan" }, log);
  expect(log.lines[0]?.data["known"]).toEqual(["Type", ...OPTIONS.map(({ name }) => name)]);
});

test("has their defaults", () => {
  const given = OPTIONS.map(({ name, byDefault }) => [name, JSON.parse(byDefault) as unknown]);
  const log = new MemoryLog();
  expect(parseVxlanOptions(Object.fromEntries(given), log)).toEqual(parseVxlanOptions({}, log));
});

test.each(OPTIONS)("$name takes $limits and nothing else", ({ name, limits }) => {
  const [, most] = /^0 to (\d+)$/.exec(limits) ?? [];
  const read = (value: unknown): unknown => parseVxlanOptions({ [name]: value }, new MemoryLog());
  expect(most === undefined ? limits : "numbers").toMatch(/^(numbers|true or false)$/);
  read(most === undefined ? true : Number(most));
  expect(() => read(most === undefined ? 1 : Number(most) + 1)).toThrow(AgentError);
});
