import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { labOptions } from "../options.ts";
import { type LabState, writeState } from "../state.ts";
import { identifyProcess, type ProcessIdentity } from "../system/process-table.ts";
import { listen } from "../system/socket.ts";
import { findLabs, removeDeadLab } from "./dead-labs.ts";

/** Started before the boot that it names: no process of any machine. */
const GONE: ProcessIdentity = { pid: 4711, startTime: "0", bootId: "another boot" };
let labs: string;

beforeEach(() => {
  labs = mkdtempSync(join(tmpdir(), "dead-labs-"));
});

afterEach(() => {
  rmSync(labs, { recursive: true });
});

function ourselves(): ProcessIdentity {
  return identifyProcess(process.pid) ?? GONE;
}

function makeLab(directory: string, state: Partial<LabState>, name: string = directory): string {
  const path = join(labs, directory);
  mkdirSync(join(path, "hosts", "n1"), { recursive: true });
  const defaults = { flanneld: ["flanneld"], workingDirectory: "/" };
  writeState(path, {
    id: "abcdef",
    options: labOptions({ name }, defaults),
    createdAt: "2000-01-01T00:00:00Z",
    maker: GONE,
    ...state,
  });
  return path;
}

const dead = { unshare: GONE, init: GONE, supervisor: GONE, usesUserNamespace: false };

it("tells labs that run, that died, and what is none, by what is written in them", async () => {
  makeLab("dead", { lab: dead });
  makeLab("unmade", {});
  makeLab("draft.Ab3dEf", {}, "draft");
  makeLab("making", { maker: ourselves() });
  makeLab("running", { lab: { ...dead, supervisor: ourselves() } });
  makeLab("ending", { lab: { ...dead, init: ourselves() } });
  makeLab("looked-at", { maker: ourselves(), lab: dead });
  makeLab("copied", { lab: dead }, "original");
  mkdirSync(join(labs, "torn", "etcd"), { recursive: true });
  mkdirSync(join(labs, "strange", "hosts"), { recursive: true });
  writeFileSync(join(labs, "strange", "lab.json"), '{"id": "x", "options": {"name": "strange"}}');
  mkdirSync(join(labs, "somebody-elses"));
  writeFileSync(join(labs, "somebody-elses", "letter"), "");
  writeFileSync(join(labs, "file"), "");
  mkdirSync(join(labs, "runs", "etcd"), { recursive: true });
  mkdirSync(join(labs, "unreadable", "lab.json"), { recursive: true });
  const found = await findLabs(labs);
  expect(found.map(({ path, fate, why }) => `${path.slice(labs.length + 1)}: ${fate}, ${why}`))
    .toMatchInlineSnapshot(`
      [
        "copied: unclear, its lab.json is of a lab "original"",
        "dead: dead, process 4711, its supervisor, is gone",
        "draft.Ab3dEf: dead, process 4711, which was making it, is gone",
        "ending: dead, process 4711, its supervisor, is gone",
        "looked-at: alive, it runs or is being made",
        "making: alive, it runs or is being made",
        "running: alive, it runs or is being made",
        "strange: unclear, it has no lab.json that says whose it is",
        "torn: unclear, it has no lab.json that says whose it is",
        "unmade: dead, process 4711, which was making it, is gone",
        "unreadable: unclear, it cannot be read: EISDIR",
      ]
    `);
});

it("takes a lab whose socket answers for alive, whatever its process ids mean", async () => {
  const path = makeLab("elsewhere", { lab: dead });
  await listen(path, "supervisor.sock", () => undefined);
  expect(await findLabs(labs)).toMatchObject([{ fate: "alive" }]);
});

it("removes a dead one whole, and nothing beside it", async () => {
  makeLab("dead", { lab: dead });
  makeLab("dead-too", { lab: dead });
  const found = await findLabs(labs);
  expect(found).toHaveLength(2);
  const [first] = found;
  expect(first && (await removeDeadLab(first))).toBe(true);
  expect(first && (await removeDeadLab(first))).toBe(false);
  expect(readdirSync(labs)).toEqual(["dead-too"]);
});

it("removes what a version without drivers left, and leaves alone what one with others may have left", async () => {
  for (const [name, driver] of [
    ["before", undefined],
    ["later", "hypervisor"],
  ] as const) {
    const file = join(makeLab(name, { lab: dead }), "lab.json");
    const state = JSON.parse(readFileSync(file, "utf8")) as LabState;
    writeFileSync(file, JSON.stringify({ ...state, options: { ...state.options, driver } }));
  }
  const found = await findLabs(labs);
  expect(found).toMatchObject([{ fate: "dead" }, { fate: "unclear" }]);
  expect(found[0] && (await removeDeadLab(found[0]))).toBe(true);
  expect(readdirSync(labs)).toEqual(["later"]);
});

it("gives back a directory that another lab took between looking and removing", async () => {
  const path = makeLab("name", { lab: dead });
  const [found] = await findLabs(labs);
  rmSync(path, { recursive: true });
  makeLab("name", { id: "newone", maker: ourselves() });
  expect(found && (await removeDeadLab(found))).toBe(false);
  expect(readdirSync(labs)).toEqual(["name"]);
  expect(existsSync(join(path, "hosts", "n1"))).toBe(true);
});
