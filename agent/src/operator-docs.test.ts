/** The pages for operators say what the agent says and takes: messages, members, ranges and links are compared with it. */
import { access, glob, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import * as registry from "./backends/registry.ts";
import { parseCidr, parseIp } from "./core/ip.ts";
import { parseNetworkConfig } from "./core/network-config.ts";
import { ROUTE_PROTOCOL_TWILL } from "./kernel/kernel.ts";
import { refusedChange } from "./kernel/print.ts";

const ROOT = join(import.meta.dirname, "../..");
const [TROUBLESHOOTING, CONFIGURATION, BACKENDS] = await Promise.all(
  ["troubleshooting", "configuration", "backends"].map(readPage),
);

function readPage(name: string): Promise<string> {
  return readFile(join(ROOT, "docs", `${name}.md`), "utf8");
}

/** The cells of the tables whose first heading is this, row by row. */
function rowsOf(page: string | undefined, heading: string): readonly (readonly string[])[] {
  const rows: string[][] = [];
  let isIn = false;
  for (const line of page?.split("\n") ?? []) {
    const cells = line.startsWith("|") ? line.split("|").map((cell) => cell.trim()) : [];
    const [, first = "", ...rest] = cells;
    if (cells.length === 0) isIn = false;
    else if (first === heading) isIn = true;
    else if (isIn && !/^-+$/.test(first)) rows.push([first, ...rest.slice(0, -1)]);
  }
  return rows;
}

/** What stands between backticks, each. */
function codesIn(text: string | undefined): readonly string[] {
  return [...(text ?? "").matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
}

/** What runs as the agent, without comments: a message that only a comment has is said by nobody. */
async function readSources(): Promise<readonly string[]> {
  const sources: string[] = [];
  for await (const path of glob("agent/src/**/*.ts", { cwd: ROOT })) {
    if (/(\.test|\.contract|\/memory-[^/]*)\.ts$/.test(path)) continue;
    const text = await readFile(join(ROOT, path), "utf8");
    sources.push(text.replaceAll(/^\s*(\/\*|\*|\/\/).*$/gm, ""));
  }
  return sources;
}

/** Most letters of source between two fixed parts of one message: an expression, or the end of one string and the next. */
const GAP_LETTERS = 120;

/** Whether one source has all fixed parts, close after each other. */
function hasAll(source: string, parts: readonly string[]): boolean {
  const pattern = parts
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join(`[^]{0,${GAP_LETTERS}}?`);
  return new RegExp(pattern).test(source);
}

/** An ellipsis stands for what differs from one time to the next. */
function fixedParts(message: string): readonly string[] {
  return message
    .split("…")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

describe("docs/troubleshooting.md", () => {
  const messages = rowsOf(TROUBLESHOOTING, "message").flatMap(([cell]) => codesIn(cell));

  test("has every message once, and enough of each to be found by", () => {
    expect(messages.length).toBeGreaterThan(50);
    expect(new Set(messages).size).toBe(messages.length);
    for (const message of messages)
      expect(fixedParts(message).join("").length, message).toBeGreaterThan(10);
  });

  test("has no message that the agent does not say", async () => {
    const sources = await readSources();
    expect(sources.length).toBeGreaterThan(100);
    const unsaid = messages.filter(
      (message) => !sources.some((source) => hasAll(source, fixedParts(message))),
    );
    expect(unsaid).toEqual([]);
  });

  test("shows a refused change as it is logged", () => {
    const object = {
      kind: "route",
      destination: parseCidr("10.42.2.0/24"),
      gateway: parseIp("198.51.100.2"),
      link: "eth0",
      onlink: false,
      protocol: ROUTE_PROTOCOL_TWILL,
    } as const;
    const refusal = { code: "ENETUNREACH", detail: "Nexthop has invalid gateway" };
    const { message } = refusedChange({ action: "put", object }, refusal);
    expect(TROUBLESHOOTING).toContain(`\n${message}\n`);
  });

  test("tells of each what it means and what to do", () => {
    for (const row of rowsOf(TROUBLESHOOTING, "message"))
      expect(
        row.map((cell) => cell !== ""),
        row[0],
      ).toEqual([true, true, true]);
  });
});

describe("docs/configuration.md", () => {
  test("its examples are taken as they are", () => {
    const examples = [CONFIGURATION, BACKENDS].flatMap((page) =>
      [...(page ?? "").matchAll(/```json\n(.*?)```/gs)].map(([, text = ""]) => text),
    );
    expect(examples.length).toBeGreaterThan(4);
    for (const text of examples)
      expect(typesHere()).toContain(parseNetworkConfig(text).backendType);
  });

  const shares = rowsOf(CONFIGURATION, "network");
  test.each(shares)("%s is shared out as the table says", (network = "", length, first, last) => {
    const [prefix = ""] = codesIn(network);
    const isSecond = prefix.includes(":");
    const { ranges } = parseNetworkConfig(
      JSON.stringify({
        EnableIPv4: !isSecond,
        EnableIPv6: isSecond,
        [isSecond ? "IPv6Network" : "Network"]: prefix,
      }),
    );
    const range = ranges[isSecond ? 6 : 4];
    expect([`/${range?.subnetLength}`, range?.subnetMin, range?.subnetMax]).toEqual(
      [length, first, last].flatMap(codesIn),
    );
  });
  test("several networks are in that table", () => expect(shares.length).toBeGreaterThan(5));

  test("its members are those that the agent reads: another value of each is noticed", () => {
    const names = rowsOf(CONFIGURATION, "member").flatMap(([cell]) => codesIn(cell));
    expect(names).toContain("IPv6SubnetLen");
    for (const name of names) expect(() => parse({ [name]: ["no"] }), name).toThrow(name);
  });
});

/** With both families on, so that every member counts. */
function parse(members: Readonly<Record<string, unknown>>): unknown {
  const networks = { EnableIPv6: true, Network: "10.3.0.0/16", IPv6Network: "fc00::/48" };
  return parseNetworkConfig(JSON.stringify({ ...networks, ...members }));
}

function typesHere(): readonly string[] {
  return Object.values(registry).map(({ type }) => type);
}

describe("docs/backends.md", () => {
  test("says of each backend of flannel whether it is here", () => {
    const rows = rowsOf(BACKENDS, "type");
    expect(rows.length).toBe(9);
    const here = rows.filter(([, state]) => state === "here").flatMap(([type]) => codesIn(type));
    expect(new Set(here)).toEqual(new Set(typesHere()));
  });
});

test("docs/compatibility.md calls each behaviour the same, different or not yet there, and says why", async () => {
  const rows = rowsOf(await readPage("compatibility"), "behaviour");
  expect(rows.length).toBeGreaterThan(80);
  const unsaid = rows.filter(
    ([, verdict = "", why]) =>
      !["same", "different", "not yet"].includes(verdict) || (verdict !== "same" && why === ""),
  );
  expect(unsaid).toEqual([]);
});

test("every link from a page to a file of the repository leads somewhere", async () => {
  const broken: string[] = [];
  let count = 0;
  for await (const path of glob(["*.md", "docs/*.md"], { cwd: ROOT })) {
    const text = await readFile(join(ROOT, path), "utf8");
    for (const [, target = ""] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      count++;
      const exists = await access(join(ROOT, dirname(path), target)).then(
        () => true,
        () => false,
      );
      if (!exists) broken.push(`${path}: ${target}`);
    }
  }
  expect(count).toBeGreaterThan(20);
  expect(broken).toEqual([]);
});
