import { describe, expect, it } from "vitest";
import { agentCommandOf, checkAgentHosts, parseAgentCommands } from "./agent-commands.ts";

const OWN = ["node", "flanneld.ts"];

/** What a host runs, as it was given. */
function agentOn(host: string, ...values: readonly string[]): string {
  return agentCommandOf(parseAgentCommands(values, OWN), host).text;
}

describe("the agent of a host", () => {
  it.each<[string, readonly string[], string]>([
    ["n1", [], "node flanneld.ts"],
    ["n1", ["a"], "a"],
    ["n1", ["a", "b"], "b"],
    ["n1", ["n1=a"], "a"],
    ["n2", ["n1=a"], "node flanneld.ts"],
    ["n2", ["n1=a", "b"], "b"],
    // A name counts before a pattern, and a pattern before what is for all, in whatever order they come.
    ["n1", ["n1=a", "n*=b", "c"], "a"],
    ["n2", ["n1=a", "n*=b", "c"], "b"],
    ["n1", ["c", "n*=b", "n1=a"], "a"],
    ["n12", ["n1*=a", "n*=b"], "b"],
    ["n12", ["n*=b", "n1*=a"], "a"],
    ["n1", ["n1=a", "n1=b"], "b"],
  ])("%s of %j is %j", (host, values, command) => {
    expect(agentOn(host, ...values)).toBe(command);
  });

  it.each<[string, string, boolean]>([
    ["*", "n1", true],
    ["n*", "n240", true],
    ["*1", "n21", true],
    ["*1", "n12", false],
    ["n1*", "n1", true],
    ["n1*", "n2", false],
    ["n*2*4", "n1234", true],
    ["n*2*4", "n1432", false],
    ["n1*1", "n1", false],
    ["*12*2", "n12", false],
    ["n**", "n1", true],
  ])("pattern %s, host %s: %s", (pattern, host, fits) => {
    expect(agentOn(host, `${pattern}=fits`)).toBe(fits ? "fits" : "node flanneld.ts");
  });

  it.each([
    "env A=b flanneld",
    "A=b",
    "n=b",
    "nx1=b",
    "/opt/n1=b --c=d",
    "flanneld --match=*=b",
    "sh -c 'n1=2; x*=3'",
  ])("%j is a command for all, in which = is its own", (value) => {
    expect(agentOn("n1", value)).toBe(value);
    expect(agentOn("n1", `n1=${value}`)).toBe(value);
  });

  it("is split into words, quotes and line ends included", () => {
    const commands = parseAgentCommands(["n1=sh -c 'a\nb=c'"], OWN);
    expect(agentCommandOf(commands, "n1").argv).toEqual(["sh", "-c", "a\nb=c"]);
    expect(agentCommandOf(commands, "n2").argv).toBe(OWN);
  });

  it.each([
    ["", "--flanneld is empty: name the program to run on each host"],
    ["n1=", "--flanneld n1= is empty: name the program to run there"],
    ["n*= ", "--flanneld n*= is empty: name the program to run there"],
    ["n1='", "a quote or backslash is not closed in: '"],
  ])("is refused as %j", (value, message) => {
    expect(() => parseAgentCommands([value], OWN)).toThrow(
      expect.objectContaining({ code: "usage", message }),
    );
  });
});

describe("a name among agents", () => {
  const check = (...values: readonly string[]): void => {
    checkAgentHosts(parseAgentCommands(values, OWN), ["n1", "n2"], "the lab");
  };

  it("is that of a host, or a pattern that a host fits", () => {
    expect(() => {
      check("n2=a", "n*=b", "*1=c", "d");
    }).not.toThrow();
  });

  it.each([
    ["n3=a", "--flanneld n3=…: the lab has no such host; there are n1, n2"],
    ["n01=a", "--flanneld n01=…: the lab has no such host; there are n1, n2"],
    ["n3*=a", "--flanneld n3*=…: no host of the lab fits; there are n1, n2"],
  ])("is refused in %j", (value, message) => {
    expect(() => {
      check("n1=x", value);
    }).toThrow(expect.objectContaining({ code: "usage", message }));
  });
});
