import { cruise } from "dependency-cruiser";
import { expect, test } from "vitest";
import rules from "./.dependency-cruiser.mjs";

const rooms = ["agent", "benchmarks", "lab", "linux", "scenarios", "property-tests"];

async function read(ruleSet) {
  const { output } = await cruise(rooms, { ...rules.options, ruleSet, validate: true });
  return output;
}

test("every room imports only what it may", { timeout: 60_000 }, async () => {
  const output = await read({ forbidden: rules.forbidden });
  // A cruiser without a TypeScript compiler it knows reads nothing, and calls that clean.
  expect(output.summary.totalCruised).toBeGreaterThan(50);
  expect(output.summary.violations.map((v) => `${v.rule.name}: ${v.from} → ${v.to}`)).toEqual([]);
});

test("the cruiser sees type imports and imports across packages", { timeout: 60_000 }, async () => {
  const output = await read({
    forbidden: [
      {
        name: "probe",
        severity: "error",
        from: { path: "^agent/src/(kernel/netlink-kernel|daemon)\\.ts$" },
        to: { path: "^(linux/src/|agent/src/system/clock\\.ts$)" },
      },
    ],
  });
  const seen = output.summary.violations.map((v) => v.to);
  expect(seen.some((to) => to.startsWith("linux/src/"))).toBe(true);
  expect(seen).toContain("agent/src/system/clock.ts");
});
