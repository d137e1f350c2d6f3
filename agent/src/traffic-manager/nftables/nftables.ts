/** Traffic rules through nft: one `nft -j list table` per look, and one `nft -f -` only when something differs, which is one transaction. */
import { AgentError } from "../../core/errors.ts";
import type { Family } from "../../core/ip.ts";
import {
  NFT_FAMILIES,
  planNftables,
  probeNftables,
  readNftables,
} from "../../core/nftables-rules.ts";
import type { NftablesFeatures, NftablesState } from "../../core/nftables-rules.ts";
import type { TrafficWish } from "../../core/traffic-rules.ts";
import type { Command } from "../../system/command.ts";
import type { Log } from "../../system/log.ts";
import { commandError, missingProgram } from "../command-error.ts";
import type { Remedy } from "../command-error.ts";

const WRITE = ["nft", "-f", "-"] as const;
const CHECK = ["nft", "--check", "-f", "-"] as const;

const INSTALL =
  "install nftables 1.0.1 or later, or set EnableNFTables to false in the network config";

/** Taken for granted until a write is refused: a kernel that knows Node 24 knows them, as a rule. */
const ALL_FEATURES: NftablesFeatures = { comments: true, fullyRandom: true };

const REMEDIES: readonly Remedy[] = [
  {
    said: /JSON support not compiled-in/,
    remedy: "install an nft that was built with JSON support (Debian: nftables)",
  },
  {
    said: /Protocol not supported|Operation not supported|Could not process rule: No such file/,
    remedy:
      "the kernel lacks parts of nf_tables: run modprobe nft_masq nft_chain_nat, or set EnableNFTables to false in the network config",
  },
];

export class Nftables {
  readonly #command: Command;
  readonly #log: Log;
  /** Each family by itself: a kernel may have one without the other. */
  readonly #features: Record<Family, NftablesFeatures> = { 4: ALL_FEATURES, 6: ALL_FEATURES };

  constructor(command: Command, log: Log) {
    this.#command = command;
    this.#log = log;
  }

  /** @returns whether anything was written @throws AgentError "program-missing", "command-failed" */
  async apply(family: Family, wish: TrafficWish): Promise<boolean> {
    const wants = wish.pods !== undefined && (wish.masquerade || wish.forward);
    try {
      const standing = await this.#list(family);
      const text = planNftables(family, standing, wish, this.#features[family]);
      if (text === undefined) return false;
      await this.#write(family, text, () =>
        planNftables(family, standing, wish, this.#features[family]),
      );
      return true;
    } catch (error) {
      if (!(error instanceof AgentError && error.code === "program-missing")) throw error;
      // Without the program there is nothing of ours to remove.
      if (!wants) return false;
      throw missingProgram(error, INSTALL);
    }
  }

  /** Undefined when there is no table of ours. */
  async #list(family: Family): Promise<NftablesState | undefined> {
    const { name, table } = NFT_FAMILIES[family];
    const argv = ["nft", "-j", "list", "table", name, table];
    const result = await this.#command.run(argv);
    if (result.exitCode !== 0) {
      if (/No such file or directory/.test(result.stderr)) return undefined;
      throw commandError(argv, result, REMEDIES);
    }
    const state = readNftables(result.stdout, family);
    if (state === undefined) throw commandError(argv, { ...result, stderr: NO_JSON }, REMEDIES);
    return state;
  }

  /** What is refused is written once more without what turns out to be unknown here. @param again the text by what is known then */
  async #write(family: Family, text: string, again: () => string | undefined): Promise<void> {
    const result = await this.#command.run(WRITE, text);
    if (result.exitCode === 0) return;
    if (!(await this.#learn(family))) throw commandError(WRITE, result, REMEDIES);
    const simpler = again();
    if (simpler === undefined) return;
    const second = await this.#command.run(WRITE, simpler);
    if (second.exitCode !== 0) throw commandError(WRITE, second, REMEDIES);
  }

  /** Asks the kernel what it does not know. @returns whether that is news */
  async #learn(family: Family): Promise<boolean> {
    const before = this.#features[family];
    if (!(await this.#accepts(family, "none"))) return false;
    const comments = before.comments && (await this.#accepts(family, "comments"));
    const fullyRandom = before.fullyRandom && (await this.#accepts(family, "fullyRandom"));
    this.#features[family] = { comments, fullyRandom };
    const lost = [
      ...(before.comments && !comments ? ["comments on tables and chains"] : []),
      ...(before.fullyRandom && !fullyRandom ? ["fully random source ports"] : []),
    ];
    if (lost.length === 0) return false;
    const { name } = NFT_FAMILIES[family];
    this.#log.info(
      {},
      `nft or this kernel does not know ${lost.join(" and ")} for ${name}: doing without`,
    );
    return true;
  }

  async #accepts(family: Family, feature: Parameters<typeof probeNftables>[1]): Promise<boolean> {
    const { exitCode } = await this.#command.run(CHECK, probeNftables(family, feature));
    return exitCode === 0;
  }
}

const NO_JSON = "its output is no JSON: JSON support not compiled-in";
