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
    ["up --driver podman", /--driver wants one of netns, container, not "podman"/],
    ["run --list --driver lxc", /--driver wants one of netns, container, not "lxc"/],
    ["up --name ../etc", /--name "..\/etc" is not a lab name/],
    ["down --name A", /--name "A" is not a lab name/],
    ["up --flanneld '", /a quote or backslash is not closed/],
    ["up --flanneld n1=", /--flanneld n1= is empty: name the program to run there/],
    ["up --flanneld n4=x", /--flanneld n4=…: the lab has no such host; there are n1, n2, n3$/m],
    ["up --nodes 2 --flanneld x --flanneld m*=x", /--flanneld m\*=…: no host of the lab fits/],
    [
      "run --list pods-reach-each-other --flanneld n9=x",
      /scenario pods-reach-each-other has no such host/,
    ],
    ["run --list --flanneld *7=x", /no host of scenario .* fits; there are n1, n2/],
    ["run --list --repeat 0", /--repeat wants a whole number from 1 to 1000/],
    ["run --list --repeat 1001", /--repeat wants a whole number from 1 to 1000/],
    ["run --list --seed 2147483648", /--seed wants a whole number from 0 to 2147483647, not /],
    ["run --list --seed 21474836470", /--seed wants .* from 0 to 2147483647, not "21474836470"/],
    ["run --list --seed=-1", /--seed wants a whole number from 0 to 2147483647, not "-1"/],
    ["run --list --seed=", /--seed wants a whole number from 0 to 2147483647, not ""/],
    ["run --list --seed 1.5", /--seed wants a whole number from 0 to 2147483647, not "1.5"/],
    ["run --list --seed luck", /--seed wants a whole number from 0 to 2147483647, not "luck"/],
    [
      "run --list --seed 2147483646 --repeat 3",
      /from 0 to 2147483645, not "2147483646": each of 3 runs has the next$/m,
    ],
    ["run --list --jobs 0", /--jobs wants a whole number from 1 to 32/],
    ["run --list --jobs 33", /--jobs wants a whole number from 1 to 32/],
    ["run --list --repeat often", /--repeat wants a whole number, not "often"/],
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
    ["fault", /lab fault wants ls \| NAME \[HOST\]/],
    ["fault meteor n1", /there is no fault "meteor"; there are alter-fdb, alter-neighbour, /],
    ["fault delete-route", /fault delete-route: wants a host, such as n1/],
    ["fault delete-route n1", /fault delete-route: wants --peer: /],
    ["fault delete-route n1 --peer 2", /--peer wants a host such as n2, not "2"/],
    ["fault delete-route n1 --peer n1", /n1 is no peer of itself/],
    ["fault delete-route n1 --mtu 1400", /takes no --mtu; known are --peer/],
    ["fault delete-route eth0 --peer n2", /"eth0" is no host name/],
    ["fault stop-store n1", /fault stop-store: strikes the store, not a host: leave out "n1"/],
    ["fault kill-agent n1 --peer n2", /takes no --peer; it takes none/],
    ["fault change-mtu n1 --mtu 12", /--mtu wants a whole number from 1350 to 9000, not "12"/],
    ["fault loss n1 --percent 100", /--percent wants a whole number from 1 to 99/],
    ["fault partition n1 --from moon", /--from wants one of all, store, peers, not "moon"/],
    ["fault foreign-route n1 --to there", /--to wants an address with its prefix length/],
    ["fault pause-agent n1 --for ever", /--for wants a time such as 500ms, 10s or 2m, not "ever"/],
    ["fault pause-agent n1 --for 0s", /it can last from 1 ms to/],
    ["fault pause-agent n1 n2 n3", /what is "n2" for/],
    ["fault pause-agent n1 --until 3", /unknown flag --until; known are /],
    ["heal f1 f2", /what is "f2" for/],
    ["heal --now", /unknown flag --now; known are --name --json --help/],
    ["gc default", /what is "default" for/],
    ["gc --all", /unknown flag --all; known are --dry-run --json --help/],
    ["graph --format png", /--format wants one of mermaid, dot, svg, not "png"/],
    ["graph n1", /what is "n1" for/],
    ["events n1", /what is "n1" for/],
    ["capture", /lab capture wants a host/],
    ["capture n1 --count 0", /--count wants a whole number from 1 to 1000000/],
    ["capture n1 --for ever", /--for wants a time such as 500ms, 10s or 2m, not "ever"/],
    ["capture n1 --for 0s", /--for 0s: a capture can last from 1ms to 1h/],
    ["capture n1 --for 2h", /--for 2h: a capture can last from 1ms to 1h/],
    ["scale", /lab scale wants a whole number from 1 to 240$/m],
    ["scale 0", /lab scale wants a whole number from 1 to 240, not "0"/],
    ["scale 241", /not "241"/],
    ["scale 3 4", /what is "4" for/],
    ["node restart n1 --kill --signal HUP", /--kill is --signal SIGKILL: leave out --signal HUP/],
    ["node restart n1 --signal FOO", /--signal wants one of SIGTERM, SIGKILL, .* not "FOO"/],
    ["completion", /lab completion wants one of bash, zsh, fish/],
    ["completion tcsh", /lab completion wants one of bash, zsh, fish/],
    ["doctor --fix", /unknown flag --fix; known are --json --help/],
  ])("lab %s: one line, exit code 64", async (line, message) => {
    const { exitCode, out, error } = await say(...line.split(" "));
    expect(error).toMatch(message);
    expect(error).toMatch(/^lab: [^\n]*\n$/);
    expect({ exitCode, out }).toEqual({ exitCode: 64, out: "" });
  });
});

describe("the list of scenarios", () => {
  it("has all variants, or only those that each push runs", async () => {
    const [all, few] = [await say("run", "--list"), await say("run", "--list", "--on-push")];
    const variants = ({ out }: typeof all): readonly string[] => out.match(/^ {2}- .*$/gm) ?? [];
    const expected = variants(all).filter((line) => !line.endsWith(" (on-request)"));
    expect(expected.length).toBeGreaterThan(20);
    expect(expected.length).toBeLessThan(variants(all).length);
    expect(variants(few)).toEqual(expected);
  });
});

describe("completion", () => {
  it("finds the scenarios of this repository", async () => {
    const { exitCode, out, error } = await say("completion", "words", "--", "run", "");
    expect({ exitCode, error }).toEqual({ exitCode: 0, error: "" });
    expect(out).toMatch(/^pods-reach-each-other$/m);
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
    const flags = Object.keys((await COMMANDS[verb]?.())?.flags ?? {});
    expect(flags.filter((name) => !out.includes(`\n  --${name}`))).toEqual([]);
  });
});
