import { LabError } from "../errors.ts";
import type { Lab } from "../lab.ts";
import {
  formatHappening,
  type Happening,
  happeningJson,
  happeningsOfNews,
  happeningsOfRecords,
} from "../observe/happenings.ts";
import { runFiles } from "../run-directory.ts";
import { systemClock } from "../system/clock.ts";
import { readTextFrom } from "../system/files.ts";
import { interruptSignal } from "../system/terminal.ts";
import type { Command } from "./command.ts";
import { NAME_FLAG, parseFlags } from "./flags.ts";
import { runDirectoryOf, withLab } from "./open-lab.ts";

const RECORDS_POLL_MS = 100;

type Print = (happenings: readonly Happening[]) => void;

export const events: Command = {
  name: "events",
  usage: "[FLAGS]",
  summary:
    "Prints what has happened in the lab: hosts that come and go, agents that start and end, faults and their ends, writes to the store.",
  flags: {
    follow: { type: "boolean", help: "go on with what happens, until Ctrl-C or the lab's end" },
    name: NAME_FLAG,
    json: { type: "boolean", help: "one JSON object a line" },
  },
  run: async (argv, terminal) => {
    const flags = parseFlags(events, argv, { maxPositionals: 0 });
    const format = flags.isOn("json") ? happeningJson : formatHappening;
    const print: Print = (happenings) => {
      terminal.out(happenings.map(format).join(""));
    };
    const records = new Records(runFiles(runDirectoryOf(flags)).events);
    const interrupt = interruptSignal();
    try {
      await withLab(flags, async ({ lab }) => {
        // An aborted call does not wait for more.
        const past = await lab.readNews({ after: 0 }, { signal: AbortSignal.abort() });
        const before = [...happeningsOfNews(past, nowEpochMs()), ...records.read()];
        print(before.toSorted((a, b) => a.at.localeCompare(b.at, "en")));
        if (flags.isOn("follow")) {
          await follow(lab, past.count, records, print, interrupt.signal);
        }
      });
    } finally {
      interrupt.release();
    }
    return 0;
  },
};

/** Until the signal aborts or the lab ends: that is the last thing that it tells. */
async function follow(
  lab: Lab,
  count: number,
  records: Records,
  print: Print,
  interrupt: AbortSignal,
): Promise<void> {
  const end = new AbortController();
  const signal = AbortSignal.any([interrupt, end.signal]);
  const telling = tellRecords(records, print, signal);
  try {
    await tellNews(lab, count, print, signal);
  } catch (error) {
    if (!(error instanceof LabError) || error.code !== "not-running") {
      throw error;
    }
    print([{ at: systemClock.isoTime(), type: "lab-ended", facts: {} }]);
  } finally {
    end.abort();
    await telling;
  }
}

async function tellNews(lab: Lab, count: number, print: Print, signal: AbortSignal): Promise<void> {
  let after = count;
  while (!signal.aborted) {
    const news = await lab.readNews({ after }, { signal });
    after = news.count;
    print(happeningsOfNews(news, nowEpochMs()));
  }
}

async function tellRecords(records: Records, print: Print, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    print(records.read());
    await systemClock.sleep(RECORDS_POLL_MS, signal);
  }
}

/** The whole lines of a file that were not read yet. */
class Records {
  readonly #path: string;
  #offset = 0;

  constructor(path: string) {
    this.#path = path;
  }

  read(): Happening[] {
    const text = readTextFrom(this.#path, this.#offset)?.text ?? "";
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    this.#offset += Buffer.byteLength(whole);
    return happeningsOfRecords(whole);
  }
}

function nowEpochMs(): number {
  return Date.parse(systemClock.isoTime());
}
