import { expect, test } from "vitest";
import { AgentError } from "./errors.ts";
import { parseInterfacePattern } from "./interface-pattern.ts";

test.each([
  [String.raw`192\.168\.200\.\d+`, "192.168.200.128", true],
  [String.raw`192\.168\.200\.\d+`, "192.168.201.128", false],
  ["eth", "veth0", true],
  ["^eth", "veth0", false],
  ["^(eth|ens)[0-9]+$", "ens3", true],
  ["(?i)^ETH", "eth0", true],
  ["^ETH", "eth0", false],
  [String.raw`\Aeth0\z`, "eth0", true],
  [String.raw`\Aeth0\z`, "eth00", false],
  [String.raw`(?P<kind>eth)\d`, "eth0", true],
  [String.raw`br\-\d\_x`, "br-1_x", true],
  [String.raw`^[\w\-]+$`, "br-1", true],
  ["", "anything", true],
])("%s on %s: %s", (expression, subject, matches) => {
  expect(parseInterfacePattern(expression).test(subject)).toBe(matches);
});

test.each(["(", "[a", "a**", String.raw`\Qa.b\E`, "[[:alpha:]]", "(?U)a", "a{2,1}"])(
  "%s is refused by name",
  (expression) => {
    let message = "";
    try {
      parseInterfacePattern(expression);
    } catch (error) {
      if (error instanceof AgentError && error.code === "options-invalid") message = error.message;
    }
    expect(message).toContain(`--iface-regex=${expression}: not a regular expression: `);
    expect(message).toMatch(/[a-z]$/);
  },
);

test("the message stays on one line whatever the expression holds", () => {
  expect(() => parseInterfacePattern("\n(?i)^eth\u2028\u0085")).toThrow(
    String.raw`--iface-regex=\x0a(?i)^eth\x2028\x85: not a regular expression: Invalid group`,
  );
});
