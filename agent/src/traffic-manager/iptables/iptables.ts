/**
 * Traffic rules through iptables, of either variant: one `iptables-save` per look, and one `iptables-restore --noflush` only when something
 * differs, which the kernel takes in one step per table.
 */
import { AgentError } from "../../core/errors.ts";
import { planIptables, readIptablesSave } from "../../core/iptables-rules.ts";
import type { IptablesRole, IptablesState } from "../../core/iptables-rules.ts";
import type { Family } from "../../core/ip.ts";
import type { TrafficWish } from "../../core/traffic-rules.ts";
import type { Command, CommandResult } from "../../system/command.ts";
import { commandError, missingProgram } from "../command-error.ts";
import type { Remedy } from "../command-error.ts";

const PROGRAMS: Readonly<Record<Family, string>> = { 4: "iptables", 6: "ip6tables" };

/** How long a restore waits for another program's lock on legacy tables, seconds. */
const LOCK_WAIT_SECONDS = 5;

/** For `--random-fully` and for a restore that waits. Source: spec 06 section 1. */
const FULL_VERSION = [1, 6, 2] as const;

const INSTALL =
  "install iptables 1.6.2 or later, or set EnableNFTables to true in the network config";

/** What `iptables-save` prints where there is no table. */
const EMPTY: Pick<CommandResult, "stdout"> = { stdout: "" };

export interface IptablesVersion {
  /** `nf_tables` or `legacy`: only of the former the kernel tells changes. `unknown` when the program does not say. */
  readonly variant: string;
  /** Knows `--random-fully`, and a restore that waits for the lock. */
  readonly isFull: boolean;
}

export class Iptables {
  readonly #command: Command;
  /** Whether at this moment nobody ever wrote into nf_tables. */
  readonly #isUntouched: () => boolean;
  readonly #versions = new Map<Family, IptablesVersion>();

  constructor(command: Command, isUntouched: () => boolean) {
    this.#command = command;
    this.#isUntouched = isUntouched;
  }

  /** Whether the kernel tells of every change: all that was used so far writes into nf_tables. */
  get isTold(): boolean {
    const versions = [...this.#versions.values()];
    return versions.length > 0 && versions.every(({ variant }) => variant === "nf_tables");
  }

  /** What the program of a family writes into; undefined before it was first used. */
  variantOf(family: Family): string | undefined {
    return this.#versions.get(family)?.variant;
  }

  /** @returns whether anything was written @throws AgentError "program-missing", "command-failed" */
  async apply(family: Family, wish: TrafficWish, role: IptablesRole): Promise<boolean> {
    const wants = wish.pods !== undefined && (wish.masquerade || wish.forward);
    // Where nothing is wanted or nftables does the work, a node without iptables has nothing of ours in it.
    const isNeeded = wants && !role.besidesNftables;
    try {
      const version = wants ? await this.#version(family) : undefined;
      return await this.#apply(family, wish, { role, version });
    } catch (error) {
      if (!(error instanceof AgentError && error.code === "program-missing")) throw error;
      if (!isNeeded) return false;
      throw missingProgram(error, INSTALL);
    }
  }

  async #apply(
    family: Family,
    wish: TrafficWish,
    {
      role,
      version,
    }: { readonly role: IptablesRole; readonly version: IptablesVersion | undefined },
  ): Promise<boolean> {
    const program = PROGRAMS[family];
    // What was never written to is empty: no process is needed to see that. It says nothing of legacy tables.
    const isEmpty = version?.variant === "nf_tables" && this.#isUntouched();
    const { stdout } = isEmpty ? EMPTY : await this.#run(family, [`${program}-save`]);
    const state = readIptablesSave(stdout);
    if (!role.besidesNftables) refuseUnreadable(program, state, wish);
    const fullyRandom = wish.fullyRandom && version?.isFull === true;
    const text = planIptables(state, { ...wish, fullyRandom }, role);
    if (text === undefined) return false;
    const { isFull } = version ?? (await this.#version(family));
    const waiting = isFull ? [`--wait=${LOCK_WAIT_SECONDS}`] : [];
    await this.#run(family, [`${program}-restore`, "--noflush", ...waiting], text);
    return true;
  }

  /** Once per program: an upgrade of it ends the agent's container too, as a rule. */
  async #version(family: Family): Promise<IptablesVersion> {
    const known = this.#versions.get(family);
    if (known !== undefined) return known;
    const { stdout } = await this.#run(family, [PROGRAMS[family], "--version"]);
    const version = parseIptablesVersion(stdout);
    this.#versions.set(family, version);
    return version;
  }

  async #run(family: Family, argv: readonly string[], input?: string): Promise<CommandResult> {
    const result = await this.#command.run(argv, input);
    if (result.exitCode === 0) return result;
    throw commandError(argv, result, remedies(family));
  }
}

/** `iptables v1.8.9 (nf_tables)`; before 1.8 there was one variant, and no word for it. */
export function parseIptablesVersion(text: string): IptablesVersion {
  const match = /v(\d+)\.(\d+)\.(\d+)(?: \((\w+)\))?/.exec(text);
  const [, major, minor, patch, variant = match === null ? "unknown" : "legacy"] = match ?? [];
  const numbers = [major, minor, patch].map(Number);
  const different = FULL_VERSION.findIndex((least, index) => numbers[index] !== least);
  const isFull =
    match !== null &&
    (different === -1 || (numbers[different] ?? 0) > (FULL_VERSION[different] ?? 0));
  return { variant, isFull };
}

function refuseUnreadable(program: string, state: IptablesState, wish: TrafficWish): void {
  const wanted = [...(wish.masquerade ? ["nat"] : []), ...(wish.forward ? ["filter"] : [])];
  const table = wanted.find((name) => state.unreadableTables.includes(name));
  if (table === undefined) return;
  throw new AgentError(
    "command-failed",
    `${program}-save cannot read the table ${table}: another program put rules of nft into it; move them into a table of their own, or set EnableNFTables to true in the network config`,
    { retryable: true },
  );
}

function remedies(family: Family): readonly Remedy[] {
  const module = family === 4 ? "iptable" : "ip6table";
  return [
    {
      said: /Table does not exist|do you need to insmod|Module .* not found/,
      remedy: `run modprobe ${module}_nat ${module}_filter, or set EnableNFTables to true in the network config`,
    },
    {
      said: /Could not fetch rule set generation id|Protocol not supported|Failed to initialize nft/,
      remedy:
        "the kernel has no nf_tables: use iptables-legacy (update-alternatives --config iptables)",
    },
    {
      said: /xtables lock/,
      remedy: "another program holds /run/xtables.lock: it is tried again",
    },
    {
      said: /random-fully|RULE_APPEND failed \(Invalid argument\)/,
      remedy: "if the kernel cannot draw ports at random, run with -ip-masq-fully-random-disable",
    },
  ];
}
