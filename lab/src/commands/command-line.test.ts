import { describe, expect, it } from "vitest";
import { runCommandLine } from "./command-line.ts";
import { COMMANDS } from "./registry.ts";

async function say(
  ...argv: string[]
): Promise<{ readonly exitCode: number; readonly out: string; readonly error: string }> {
  let out = "";
  let error = "";
  const exitCode = await runCommandLine(argv, {
    isInteractive: false,
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
  });
  return { exitCode, out, error };
}

describe("bad input", () => {
  it.each([
    ["nonsense", /unknown verb "nonsense"; known are up, down, ps, exec/],
    ["toString", /unknown verb "toString"/],
    ["up --nodez 3", /unknown flag --nodez; known are --nodes --segments/],
    ["up extra", /what is "extra" for/],
    ["up --nodes", /'--nodes <value>' argument missing/],
    ["up --nodes 0", /--nodes wants a whole number from 1 to 240/],
    ["up --nodes 1e3", /--nodes wants a whole number, not "1e3"/],
    ["up --nodes=-1", /--nodes wants a whole number, not "-1"/],
    ["up --segments 99", /--segments wants a whole number from 1 to 16/],
    ["up --timeout 0", /--timeout wants a whole number/],
    ["up --family v6", /--family wants v4 or dual, not "v6"/],
    ["up --expect some", /--expect wants one of all, same-segment, none/],
    ["up --backend-option VNI", /--backend-option wants key=value, not "VNI"/],
    ["up --backend host-gw --segments 2", /host-gw .* cannot cross segments/],
    ["up --net-conf /does/not/exist", /there is no file \/does\/not\/exist/],
    ["up --net-conf x --backend vxlan", /--net-conf says it all: leave out --backend/],
    ["up --net-conf x --direct-routing", /leave out --direct-routing/],
    ["up --name ../etc", /--name "..\/etc" is not a lab name/],
    ["down --name A", /--name "A" is not a lab name/],
    ["up --flanneld '", /a quote or backslash is not closed/],
    ["ps --wide", /unknown flag --wide; known are --name --json --help/],
    ["ping --count 0", /--count wants a whole number from 1 to 10000/],
    ["ping --family dual", /--family wants v4 or v6/],
    ["exec", /lab exec wants a host and a command/],
    ["exec n1", /lab exec wants a host and a command/],
    ["exec --", /lab exec wants a host and a command/],
    ["node", /lab node wants add \[HOST\] \| rm HOST/],
    ["node rm", /lab node wants/],
    ["node move n1", /lab node wants/],
    ["logs --tail x", /--tail wants a whole number/],
    ["doctor --fix", /unknown flag --fix; known are --json --help/],
  ])("lab %s: one line, exit code 64", async (line, message) => {
    const { exitCode, out, error } = await say(...line.split(" "));
    expect(error).toMatch(message);
    expect(error).toMatch(/^lab: [^\n]*\n$/);
    expect({ exitCode, out }).toEqual({ exitCode: 64, out: "" });
  });
});

describe("help", () => {
  it("lists every verb", async () => {
    const { exitCode, out } = await say("--help");
    expect(exitCode).toBe(0);
    expect(Object.keys(COMMANDS).every((verb) => out.includes(`  lab ${verb} `))).toBe(true);
  });

  it.each(Object.keys(COMMANDS))("lists the flags of %s", async (verb) => {
    const { exitCode, out, error } = await say(verb, "--help");
    expect({ exitCode, error }).toEqual({ exitCode: 0, error: "" });
    expect(out).toMatch(new RegExp(`^lab ${verb} `));
    expect(out).toContain("  --");
  });
});
