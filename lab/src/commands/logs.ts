import { LabError } from "../errors.ts";
import { lastLines } from "../log-text.ts";
import { hostFiles, memberFiles, memberNames, runFiles } from "../run-directory.ts";
import { isAlive, readState } from "../state.ts";
import { systemClock } from "../system/clock.ts";
import { listDirectory, readText, readTextFrom } from "../system/files.ts";
import { interruptSignal, type Terminal } from "../system/terminal.ts";
import { join } from "node:path";
import type { Command } from "./command.ts";
import { NAME_FLAG, parseFlags } from "./flags.ts";
import { runDirectoryOf } from "./open-lab.ts";

const FOLLOW_POLL_MS = 100;

interface Source {
  readonly name: string;
  readonly path: string;
}

export const logs: Command = {
  name: "logs",
  usage: "[NAME…] [FLAGS]",
  summary:
    "Prints the logs of agents (n1), of the store (etcd) and of the supervisor; all by default.",
  flags: {
    follow: { type: "boolean", help: "go on printing what is written, until the lab ends" },
    tail: { type: "string", value: "N", help: "only the last N lines of each" },
    name: NAME_FLAG,
  },
  operands: ["host-or-store"],
  run: async (argv, terminal) => {
    const flags = parseFlags(logs, argv, { maxPositionals: Number.POSITIVE_INFINITY });
    const tail = flags.number("tail");
    const runDirectory = runDirectoryOf(flags);
    const sources = chooseSources(runDirectory, flags.positionals);
    const prefix = (source: Source): string => (sources.length === 1 ? "" : `${source.name}: `);
    const ends = new Map<string, number>();
    for (const source of sources) {
      const text = readText(source.path) ?? "";
      ends.set(source.path, Buffer.byteLength(text));
      const lines = lastLines(text, tail ?? Number.POSITIVE_INFINITY);
      terminal.out(lines.map((line) => `${prefix(source)}${line}\n`).join(""));
    }
    if (flags.isOn("follow")) {
      await follow(sources, ends, prefix, runDirectory, terminal);
    }
    return 0;
  },
};

function chooseSources(runDirectory: string, wanted: readonly string[]): Source[] {
  if (readState(runDirectory) === undefined) {
    throw new LabError("not-running", `there is no lab in ${runDirectory}`);
  }
  const hosts = listDirectory(join(runDirectory, "hosts")).toSorted((a, b) =>
    a.localeCompare(b, "en", { numeric: true }),
  );
  const all = [
    ...hosts.map((name) => ({ name, path: hostFiles(runDirectory, name).agentLog })),
    ...memberNames(runDirectory).map((name) => ({
      name,
      path: memberFiles(runDirectory, name).log,
    })),
    { name: "supervisor", path: runFiles(runDirectory).supervisorLog },
  ];
  const unknown = wanted.find((name) => !all.some((source) => source.name === name));
  if (unknown !== undefined) {
    const known = all.map(({ name }) => name).join(", ");
    throw new LabError("unknown-host", `there is no log of "${unknown}"; there are ${known}`);
  }
  return wanted.length === 0 ? all : all.filter(({ name }) => wanted.includes(name));
}

/** Prints whole lines only, so that those of several logs do not mix. */
async function follow(
  sources: readonly Source[],
  ends: Map<string, number>,
  prefix: (source: Source) => string,
  runDirectory: string,
  terminal: Terminal,
): Promise<void> {
  const { signal } = interruptSignal();
  for (;;) {
    const state = readState(runDirectory);
    const last = signal.aborted || state === undefined || !isAlive(state);
    for (const source of sources) {
      const start = ends.get(source.path) ?? 0;
      const text = readTextFrom(source.path, start)?.text ?? "";
      const whole = text.slice(0, text.lastIndexOf("\n") + 1);
      ends.set(source.path, start + Buffer.byteLength(whole));
      terminal.out(whole.replaceAll(/^(?!$)/gm, prefix(source)));
    }
    if (last) {
      return;
    }
    await systemClock.sleep(FOLLOW_POLL_MS, signal);
  }
}
