import { expect, it } from "vitest";
import { formatTable } from "./table.ts";

it("aligns columns by characters, not bytes, and trims the right", () => {
  const text = formatTable([
    ["NODE", "OK", "STATE"],
    ["n1", "✗", "ready"],
    ["n10", "0.1", ""],
  ]);
  expect(text).toBe("NODE  OK   STATE\nn1    ✗    ready\nn10   0.1\n");
});
