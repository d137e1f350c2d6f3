import { runChecked, run } from "../../system/processes.ts";
import { egressesOf } from "../egress.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import {
  ANSWER_SECONDS,
  beyond,
  demandAnswer,
  DIRECTION,
  type Direction,
  directionOf,
  pingFrom,
} from "../packet-filter.ts";

interface Target {
  readonly table: string;
  readonly direction: Direction;
  readonly percent: number;
  readonly beyond: string;
  /** So many that one comes twice for sure: that none does has a chance of e^-20. */
  readonly pings: number;
}

const INTERVAL_SECONDS = 0.002;
const HEALED_PINGS = 20;

export const duplicate: AnyFault = defineFault<Target>({
  name: "duplicate",
  summary: "Delivers a share of a host's frames twice, chosen at random.",
  place: "host",
  parameters: {
    percent: { help: "how many of a hundred", value: { kind: "number", min: 1, max: 100 } },
    direction: DIRECTION,
  },
  needs: "packet-copy",
  timeLimitMs: 15_000,
  aim: async (site, { parameters }) => {
    const percent = Number(parameters["percent"]);
    const target: Target = {
      table: `lab_${site.id}`,
      direction: directionOf(parameters),
      percent,
      beyond: beyond(site, "all"),
      pings: Math.ceil(2000 / percent),
    };
    await demandAnswer(site.host(), target.beyond);
    return target;
  },
  inject: async (site, { table, direction, percent }) => {
    for (const { device, enter } of egressesOf(site.host(), direction)) {
      await runChecked(enter(["nft", "-f", "-"]), { input: copierText(table, device, percent) });
    }
  },
  verify: async (site, target) => {
    const effort = {
      count: target.pings,
      intervalSeconds: INTERVAL_SECONDS,
      waitSeconds: ANSWER_SECONDS,
    };
    const { sent, duplicates } = await pingFrom(site.host(), target.beyond, effort);
    return duplicates > 0
      ? { saw: `${duplicates} answers to ${sent} pings from ${site.host().name} came once more` }
      : undefined;
  },
  heal: async (site, { table, direction }) => {
    for (const { enter } of egressesOf(site.host(), direction)) {
      const { exitCode } = await run(enter(["nft", "list", "table", "netdev", table]));
      if (exitCode === 0) {
        await runChecked(enter(["nft", "delete", "table", "netdev", table]));
      }
    }
  },
  verifyHealed: async (site, target) => {
    const effort = {
      count: HEALED_PINGS,
      intervalSeconds: INTERVAL_SECONDS,
      waitSeconds: ANSWER_SECONDS,
    };
    const { sent, received, duplicates } = await pingFrom(site.host(), target.beyond, effort);
    return received === sent && duplicates === 0
      ? { saw: `each of ${sent} pings was answered once` }
      : undefined;
  },
});

/** A copy is sent like any other packet, through here too: the mark keeps it from being copied again. So it does what a wire has carried. */
export const COPIED_MARK = 0x6475_706c;
const COPIED: string = `0x${COPIED_MARK.toString(16)}`;

/** The text for `nft -f`. */
export function copierText(table: string, device: string, percent: number): string {
  return `table netdev ${table} {
  chain copy {
    type filter hook egress device "${device}" priority 0; policy accept;
    meta mark ${COPIED} return
    ${percent === 100 ? "" : `numgen random mod 100 < ${percent} `}meta mark set ${COPIED} counter dup to "${device}"
  }
}
`;
}
