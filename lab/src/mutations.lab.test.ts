import { execFileSync } from "node:child_process";
import { requires } from "linux/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { LAB_MUTATIONS, MUTANT_PROGRAM, SIMULATED_ONLY } from "./mutations.ts";
import { Workplace } from "./testing/command-line.ts";

/** All of them take minutes: `lab run --mutation all`. */
requires("lab", "vxlan")("an agent with a known bug", () => {
  let workplace: Workplace;

  beforeAll(() => {
    workplace = new Workplace();
  });
  afterAll(() => {
    workplace[Symbol.dispose]();
  });

  it("has every name of the lab's table, which says of every bug what catches it", () => {
    const text = execFileSync(process.execPath, [MUTANT_PROGRAM, "--mutations"], {
      encoding: "utf8",
    });
    const known = text
      .trim()
      .split("\n")
      .map((line) => line.split(" ")[0] ?? "");
    const listed = [...LAB_MUTATIONS.map(({ name }) => name), ...Object.keys(SIMULATED_ONLY)];
    expect(listed.toSorted()).toEqual(known.toSorted());
  });

  it("D8: is caught, which is exit code 0", async () => {
    const mutation = "takes-the-overhead-off-twice";
    const { exitCode, stdout, stderr } = await workplace.run("run", "--mutation", mutation);
    expect(stdout, stderr).toMatch(
      /^mutation takes-the-overhead-off-twice caught by .*D8.* in largest-packet /m,
    );
    expect(exitCode).toBe(0);
  });

  it("B6: is caught by what the store says of its requests, where nothing else is wrong", async () => {
    const mutation = "renews-unconditionally";
    const { exitCode, stdout, stderr } = await workplace.run("run", "--mutation", mutation);
    expect(stdout, stderr).toMatch(
      /^mutation renews-unconditionally caught by B6 in agent-restart-keeps-subnet /m,
    );
    expect(exitCode).toBe(0);
  });

  it("survives a scenario that does not look where it does harm, which is exit code 1", async () => {
    const where = ["largest-packet", "--backend", "host-gw", "--family", "v4"];
    const argv = ["run", ...where, "--mutation", "deaf-to-kernel-events"];
    const { exitCode, stdout, stderr } = await workplace.run(...argv);
    expect(stdout, stderr).toMatch(
      /^mutation deaf-to-kernel-events survived: pass in largest-packet /m,
    );
    expect(exitCode).toBe(1);
  });
});
