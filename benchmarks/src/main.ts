/**
 * Measures what design.md section 10 promises, each beside a yardstick in the same run: `pnpm bench [programming sweep one-peer memory
 * start resync commit lab] [--peers 1000,5000,10000] [--hosts 20] [--runs 5] [--json FILE]`. Ends with 0 whatever the figures, 64 for a wrong word.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureCommits } from "./commit.ts";
import { type Comparison, PROFILED, type Way, judge, median, print } from "./figures.ts";
import { measureLab } from "./lab-up.ts";
import { measureResyncs } from "./resync.ts";
import { measureStarts } from "./start.ts";

const BENCHES = [
  "programming",
  "sweep",
  "one-peer",
  "memory",
  "start",
  "resync",
  "commit",
  "lab",
] as const;
type Bench = (typeof BENCHES)[number];

interface Settings {
  readonly benches: readonly Bench[];
  readonly peers: readonly number[];
  /** Undefined: what suits each bench. */
  readonly hosts: readonly number[] | undefined;
  readonly runs: number;
  readonly json: string | undefined;
}

const COMMIT_HOSTS = [20];
const LAB_HOSTS = [10, 50, 100];
/** Peers of the smallest cluster that memory is compared with. */
const FEW_PEERS = 10;
/** As many runs of a changed peer as give a median worth the name. */
const ONE_PEER_RUNS = 21;

async function inTurn<T>(
  counts: readonly number[],
  measure: (count: number) => Promise<T>,
): Promise<readonly T[]> {
  const found: T[] = [];
  for (const count of counts) found.push(await measure(count));
  return found;
}

type Measured = Readonly<Record<string, readonly number[]>>;

/** The longest first. */
function profileOf(measured: Measured): readonly Way[] {
  return Object.entries(measured)
    .filter(([name]) => name.startsWith(PROFILED))
    .map(([name, figures]) => ({ name: name.slice(PROFILED.length), figures }))
    .toSorted((a, b) => median(b.figures) - median(a.figures));
}

class Benches {
  readonly #directory = mkdtempSync(join(tmpdir(), "twill-bench-"));
  readonly #yardstick = join(this.#directory, "program-peers");
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
    const source = join(import.meta.dirname, "../programs/program-peers.c");
    execFileSync("cc", ["-O2", "-o", this.#yardstick, source]);
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }

  async run(bench: Bench): Promise<readonly Comparison[]> {
    const { peers } = this.#settings;
    switch (bench) {
      case "programming":
        return peers.map((count) => this.#programming(count));
      case "sweep":
        return peers.map((count) => this.#sweep(count));
      case "one-peer":
        return peers.map((count) => this.#onePeer(count));
      case "memory":
        return peers.map((count) => this.#memory(count));
      case "start":
        return measureStarts(this.#settings.runs, join(this.#directory, "shipped"));
      case "resync":
        return measureResyncs(this.#settings.runs);
      case "commit":
        return inTurn(this.#settings.hosts ?? COMMIT_HOSTS, (hosts) =>
          measureCommits(hosts, this.#settings.runs),
        );
      case "lab":
        return (
          await inTurn(this.#settings.hosts ?? LAB_HOSTS, (hosts) =>
            measureLab(hosts, this.#settings.runs),
          )
        ).flat();
    }
  }

  #programming(count: number): Comparison {
    const measured = this.#measure("programming", count);
    const { ours = [], block = [], batches = [], singly = [] } = measured;
    return {
      title: `programming ${count} vxlan peers into an empty kernel`,
      unit: "ms",
      ways: [
        { name: "agent: plan, compare, write", figures: ours },
        { name: "C, batches, nexthop objects", figures: batches },
        { name: "C, each acknowledged, plain", figures: singly },
      ],
      also: [{ name: "agent: longest block", figures: block }],
      profile: profileOf(measured),
      bars: [
        { text: "agent to C in batches", limit: 1.5, of: "C, batches, nexthop objects" },
        { text: "agent to C one by one", limit: 0.25, of: "C, each acknowledged, plain" },
      ],
    };
  }

  #sweep(count: number): Comparison {
    const measured = this.#measure("sweep", count);
    const { ours = [], block = [], dump = [] } = measured;
    return {
      title: `a sweep that changes nothing, ${count} peers`,
      unit: "ms",
      ways: [
        { name: "agent: whole pass", figures: ours },
        { name: "the bare dump", figures: dump },
      ],
      also: [{ name: "agent: longest block", figures: block }],
      profile: profileOf(measured),
      bars: [{ text: "pass to dump", limit: 2, of: "the bare dump" }],
    };
  }

  #onePeer(count: number): Comparison {
    const { ours = [], block = [] } = this.#measure("one-peer", count, ONE_PEER_RUNS);
    return {
      title: `one peer changed among ${count}, until the kernel has it`,
      unit: "ms",
      ways: [{ name: "agent", figures: ours }],
      also: [{ name: "agent: longest block", figures: block }],
      bars: [],
    };
  }

  #memory(count: number): Comparison {
    const rounds = Array.from({ length: this.#settings.runs });
    const few = rounds.flatMap(() => this.#measure("memory", FEW_PEERS, 1)["ours"] ?? []);
    const many = rounds.flatMap(() => this.#measure("memory", count, 1)["ours"] ?? []);
    const perPeer = many.map((kib, run) => (kib - (few[run] ?? 0)) / (count - FEW_PEERS));
    return {
      title: `resident memory of the reconcile loop, ${count} peers`,
      unit: "KiB",
      ways: [{ name: "for each peer", figures: perPeer }],
      also: [
        { name: `with ${count} peers`, figures: many },
        { name: `with ${FEW_PEERS} peers`, figures: few },
      ],
      bars: [{ text: "KiB for each peer", limit: 4 }],
    };
  }

  #measure(bench: string, count: number, runs: number = this.#settings.runs): Measured {
    const subject = join(import.meta.dirname, "subject.ts");
    const words = [bench, String(count), String(runs), this.#yardstick];
    const command = [process.execPath, "--expose-gc", subject, ...words];
    const text = execFileSync("unshare", ["-rn", ...command], { encoding: "utf8" });
    return JSON.parse(text) as Measured;
  }
}

/** @throws TypeError for a word that is none of ours */
function readSettings(): Settings {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      peers: { type: "string", default: "1000,5000,10000" },
      hosts: { type: "string" },
      runs: { type: "string", default: "5" },
      json: { type: "string" },
    },
  });
  const number = (name: string, text: string, least: number): number => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new TypeError(`--${name} is ${text}: expected a whole number from ${least} on`);
  };
  const benches = positionals.map((word) => {
    const bench = BENCHES.find((known) => known === word);
    if (bench === undefined) throw new TypeError(`no bench ${word}: one of ${BENCHES.join(", ")}`);
    return bench;
  });
  return {
    benches: benches.length === 0 ? BENCHES : benches,
    peers: values.peers.split(",").map((text) => number("peers", text, FEW_PEERS + 1)),
    hosts: values.hosts?.split(",").map((text) => number("hosts", text, 2)),
    runs: number("runs", values.runs, 1),
    json: values.json,
  };
}

function settingsOrExit(): Settings {
  try {
    return readSettings();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(64);
  }
}

const settings = settingsOrExit();
const done: Comparison[] = [];
using benches = new Benches(settings);
for (const bench of settings.benches)
  for (const comparison of await benches.run(bench)) {
    done.push(comparison);
    process.stdout.write(`${print(comparison)}\n\n`);
  }
if (settings.json !== undefined) {
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version };
  const figures = done.map((comparison) => ({ ...comparison, bars: judge(comparison) }));
  writeFileSync(settings.json, `${JSON.stringify({ machine, figures }, undefined, 2)}\n`);
}
