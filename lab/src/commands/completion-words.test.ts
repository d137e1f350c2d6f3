import { describe, expect, it } from "vitest";
import { completionScript } from "./completion-scripts.ts";
import { completeWords, type CompletionSources } from "./completion-words.ts";
import { COMMANDS } from "./registry.ts";

const LOAD = new Map(Object.entries(COMMANDS));
const SOURCES: CompletionSources = {
  hosts: (lab = "default") => Promise.resolve(lab === "default" ? ["n1", "n2"] : ["n7"]),
  scenarios: () => Promise.resolve(["host-dies", "host-joins"]),
  labs: () => ["default", "other", "$(reboot)"],
};
const complete = (line: string): Promise<readonly string[]> =>
  completeWords(line.split(" ").slice(1), LOAD, SOURCES);

describe("completion", () => {
  it("knows every verb", async () => {
    expect(await complete("lab ")).toEqual([...LOAD.keys(), "--help"]);
    expect(await completeWords([], LOAD, SOURCES)).toEqual([...LOAD.keys(), "--help"]);
  });

  it.each([...LOAD])("knows every flag of %s", async (verb, load) => {
    const flags = Object.keys((await load()).flags).map((name) => `--${name}`);
    expect(await complete(`lab ${verb} -`)).toEqual([...flags, "--help"]);
  });

  it.each([
    ["lab node ", ["add", "rm", "restart"]],
    ["lab node rm ", ["n1", "n2"]],
    ["lab node rm --keep-lease ", ["n1", "n2"]],
    ["lab node --name other rm ", ["n7"]],
    ["lab exec ", ["n1", "n2", "etcd"]],
    ["lab exec n1 ", [":files"]],
    ["lab exec n1 -- ls --", [":files"]],
    ["lab exec --pod ", ["n1", "n2", "etcd"]],
    ["lab capture n1 --write ", [":files"]],
    ["lab graph --format ", ["mermaid", "dot", "svg"]],
    ["lab up --family ", ["v4", "dual"]],
    ["lab up --nodes ", []],
    ["lab ps --name ", ["default", "other"]],
    ["lab fault delete-route n1 --peer ", ["n1", "n2"]],
    ["lab fault delete-route ", ["n1", "n2"]],
    ["lab run ", ["host-dies", "host-joins"]],
    ["lab run host-dies --repeat 3 ", ["host-dies", "host-joins"]],
    ["lab gc --json ", ["--dry-run", "--help"]],
    ["lab report ", [":files"]],
    ["lab completion ", ["bash", "zsh", "fish"]],
    ["lab nonsense ", []],
    ["lab toString ", []],
  ])("after %j: %j", async (line, words) => {
    expect(await complete(line)).toEqual(words);
  });

  it("offers a flag once, and as often as it may be given", async () => {
    const left = await complete("lab up --nodes 3 --backend-option a=b ");
    expect(left).not.toContain("--nodes");
    expect(left).toContain("--backend-option");
  });

  it("offers every fault", async () => {
    const faults = await complete("lab fault ");
    expect(faults).toEqual(expect.arrayContaining(["ls", "delete-route", "stop-store"]));
  });

  it.each(["bash", "zsh", "fish"] as const)("quotes the program for %s", (shell) => {
    const script = completionScript(shell, ["/a b/node", "/it's/main.ts"]);
    expect(script).toContain(String.raw`'/a b/node' '/it'\''s/main.ts' completion words -- `);
  });
});
