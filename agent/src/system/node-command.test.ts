import { expect, test } from "vitest";
import { NodeCommand } from "./node-command.ts";

const NEVER = new AbortController().signal;

test("input, output, errors and exit code go through", async () => {
  const command = new NodeCommand({ signal: NEVER });
  const script = 'cat; echo "to stderr" >&2; exit 3';
  expect(await command.run(["sh", "-c", script], "some\ninput\n")).toEqual({
    exitCode: 3,
    stdout: "some\ninput\n",
    stderr: "to stderr\n",
  });
});

test("a program that is not there is named", async () => {
  const command = new NodeCommand({ signal: NEVER });
  await expect(command.run(["twill-no-such-program", "-v"])).rejects.toMatchObject({
    code: "program-missing",
    message: "there is no program twill-no-such-program in PATH",
  });
});

test("a program that reads nothing of a long input is no error", async () => {
  const command = new NodeCommand({ signal: NEVER });
  const { exitCode } = await command.run(["true"], "x".repeat(1 << 20));
  expect(exitCode).toBe(0);
});

test("programs speak English whatever the machine does", async () => {
  const command = new NodeCommand({ signal: NEVER, environment: { LC_ALL: "fr_FR.UTF-8" } });
  expect((await command.run(["sh", "-c", "echo $LC_ALL"])).stdout).toBe("C\n");
});

test("what still runs ends with the agent, and nothing begins after it", async () => {
  const stop = new AbortController();
  const command = new NodeCommand({ signal: stop.signal });
  const running = command.run(["sh", "-c", "exec cat"]);
  const endless = command.run(["sleep", "600"]);
  expect((await running).exitCode).toBe(0);
  stop.abort();
  await expect(endless).rejects.toMatchObject({ code: "command-failed" });
  await expect(command.run(["true"])).rejects.toMatchObject({ code: "command-failed" });
});

test("a program killed from outside is said to be", async () => {
  const command = new NodeCommand({ signal: NEVER });
  await expect(command.run(["sh", "-c", "kill -9 $$"])).rejects.toThrow("killed by SIGKILL");
});

test("a program that never stops talking is stopped", async () => {
  const command = new NodeCommand({ signal: NEVER });
  await expect(command.run(["yes"])).rejects.toThrow("or said too much");
});
