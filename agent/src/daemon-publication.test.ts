import { expect, test } from "vitest";
import { SUBNET_FILE, twoNodes } from "./memory-world-bench.ts";

/** Longest that a file is wrong: invariant D11, the sweep. */
const SWEPT_MS = 10_000;

test.each<[string, string | undefined]>([
  ["deleted", undefined],
  ["altered", "FLANNEL_NETWORK=10.99.0.0/16\n"],
  ["emptied", ""],
])(
  "D11: a subnet.env that somebody %s is as before within ten seconds, at any moment",
  async (_, text) => {
    const { world, nodes, agents } = await twoNodes();
    const [{ files, log }] = nodes;
    const before = files.texts.get(SUBNET_FILE);
    for (const waitMs of [0, 1, 7_000, 60_001, 300_000]) {
      await world.clock.advance(waitMs);
      if (text === undefined) files.texts.delete(SUBNET_FILE);
      else files.texts.set(SUBNET_FILE, text);
      await world.clock.advance(SWEPT_MS);
      expect(files.texts.get(SUBNET_FILE)).toBe(before);
    }
    expect(agents.map(({ ready }) => ready)).toEqual([true, true]);
    const warnings = log.lines
      .filter(({ level }) => level === "warn")
      .map(({ message }) => message);
    const word = text === undefined ? "deleted" : "altered";
    // Once a minute at most: the second and the third come too soon after the first.
    expect(warnings).toEqual(Array(3).fill(`somebody ${word} ${SUBNET_FILE}: writing it again`));
    await Promise.all(agents.map((agent) => agent.stop()));
  },
);

test("E5: where it cannot be written, it is tried each second, said once, and done when it can be", async () => {
  const { world, nodes, agents } = await twoNodes();
  const [{ files, log }] = nodes;
  const before = files.texts.get(SUBNET_FILE);
  files.refuse(SUBNET_FILE, "EROFS: read-only file system");
  files.texts.delete(SUBNET_FILE);
  await world.clock.advance(3_600_000);
  expect(agents.map(({ ready }) => ready)).toEqual([true, true]);
  expect(log.lines.filter(({ level }) => level === "error")).toHaveLength(1);
  files.allow(SUBNET_FILE);
  await world.clock.advance(1_000);
  expect(files.texts.get(SUBNET_FILE)).toBe(before);
  await Promise.all(agents.map((agent) => agent.stop()));
});

test("a file that is as it was written is not written again", async () => {
  const { world, nodes, agents } = await twoNodes();
  const [{ files, log }] = nodes;
  files.refuse(SUBNET_FILE, "EROFS: read-only file system");
  await world.clock.advance(3_600_000);
  expect(files.texts.has(SUBNET_FILE)).toBe(true);
  expect(log.lines.filter(({ message }) => message.includes("subnet file"))).toHaveLength(1);
  await Promise.all(agents.map((agent) => agent.stop()));
});
