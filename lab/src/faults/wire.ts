import type { DelayLine, FrameFate } from "linux";
import { LabError } from "../errors.ts";
import type { LabHost } from "../hosts/host.ts";
import { readText } from "../system/files.ts";
import { run, runChecked } from "../system/processes.ts";
import { EXTERNAL_INTERFACE } from "../topology.ts";
import { COPIED_MARK } from "./duplicate/index.ts";
import type { Direction } from "./packet-filter.ts";

/**
 * The userspace wire: what netem does to frames, where the kernel has none. At the host's port of the switch nftables takes the
 * frames out of the kernel's hands and gives them to a TAP device; a thread of the supervisor sends each when its time has come.
 *
 *     in    switch ─► n1 (egress) ─fwd─► wire-n1-in ─► thread ─► n1, marked: passes ─► eth0 of the host
 *     out   eth0 ─► n1 (ingress) ─fwd─► wire-n1-out ─► thread ─► eth0, marked ─► n1 (ingress): unmarked, passes ─► switch
 *
 * Nothing is taken out of the switch: ports, their names, entries of the FDB, carriers, and the rules and queues of other faults
 * stay what they are, and come after the wire in both directions. The host sees no link and no rule of it, only what comes later,
 * or wrong. A TAP device offers the kernel no help with checksums and segments: what comes out of it is whole frames, as on a cable.
 *
 * Out of the host a mark is lost, since it belongs to the network namespace: there the frame itself says where it was, by the bit
 * of its source address that makes it a group's, which no host has.
 */
export interface WirePlan {
  readonly table: string;
  /** The host's port, in the supervisor's namespace. */
  readonly port: string;
  readonly direction: Direction;
}

const FLOWS = ["in", "out"] as const;
type Flow = (typeof FLOWS)[number];

/** On what a wire has carried into a host. */
const CARRIED_MARK = 0x7769_7265;
const GROUP_BIT = "01:00:00:00:00:00";
const NO_GROUP_BIT = "fe:ff:ff:ff:ff:ff";
/** Sets the source address right, of what a wire has carried out of a host. */
const RETURNS = `ether saddr & ${GROUP_BIT} == ${GROUP_BIT} ether saddr set ether saddr & ${NO_GROUP_BIT} accept`;
/** Before the filters of other faults: they see each frame once, when it was carried. */
const PRIORITY = -400;
/** Frames that wait for the thread when it is not given a processor for some time. */
export const QUEUE_FRAMES = 16_384;

/** Argument: the device. It is the kernel's own to nobody: no IPv6, which would send packets of its own through it. */
const DEVICE_SCRIPT = `set -e
[ ! -d /proc/sys/net/ipv6/conf/$1 ] || echo 1 > /proc/sys/net/ipv6/conf/$1/disable_ipv6
ip link set dev $1 txqueuelen ${QUEUE_FRAMES} up
`;
/** Of a line of proc_net_dev(5), behind the name: frames sent that were dropped. */
const SENT_DROPPED_FIELD = 11;

/** The text for `nft -f`. */
export function wireText({ table, port, direction }: WirePlan): string {
  const hook = { in: "egress", out: "ingress" } as const;
  const rules = {
    // A copy was carried before it was copied.
    in: [
      `meta mark { ${markText(CARRIED_MARK)}, ${markText(COPIED_MARK)} } accept`,
      `oif "${port}"`,
    ],
    out: [RETURNS, `iif "${port}"`],
  } as const;
  const chain = (flow: Flow): string => `  chain ${flow} {
    type filter hook ${hook[flow]} device "${port}" priority ${PRIORITY}; policy accept;
    ${rules[flow][0]}
    ${rules[flow][1]} counter fwd to "${deviceOf(port, flow)}"
  }
`;
  return `table netdev ${table} {\n${flowsOf(direction).map(chain).join("")}}\n`;
}

/** The text for `nft -f` that lets all frames through which were not carried yet, and those that were. */
export function bypassText({ table, direction }: WirePlan): string {
  return flowsOf(direction)
    .map((flow) => `flush chain netdev ${table} ${flow}\n`)
    .concat(direction === "in" ? [] : [`add rule netdev ${table} out ${RETURNS}\n`])
    .join("");
}

/** The devices that such a wire needs. */
export function devicesOf({ port, direction }: WirePlan): readonly string[] {
  return flowsOf(direction).map((flow) => deviceOf(port, flow));
}

/** The wire of one fault, at the link of one host. */
export class Wire {
  readonly #plan: WirePlan;
  readonly #lines: Map<string, DelayLine> = new Map();

  constructor(plan: WirePlan) {
    this.#plan = plan;
  }

  /** @throws LabError "wrong-state" where another fault's wire is */
  demandFree(): void {
    const taken = devicesOf(this.#plan).find((device) => droppedBy(device) !== undefined);
    if (taken !== undefined) {
      throw new LabError(
        "wrong-state",
        `${this.#plan.port} is on a wire already, ${taken}: heal that fault first`,
      );
    }
  }

  /**
   * @param fates of the frames of one direction, for a number that is different for each
   * @throws LabError "command-failed"
   */
  async begin(
    { anchor }: Pick<LabHost, "anchor">,
    fates: (flowNumber: number) => readonly FrameFate[],
  ): Promise<void> {
    const { DelayLine: Line, NetlinkError } = await import("linux");
    const { port, direction } = this.#plan;
    for (const flow of flowsOf(direction)) {
      const device = deviceOf(port, flow);
      const toHost = { link: port, mark: CARRIED_MARK, direct: false, groupSource: false };
      // Past the host's own queues and captures, which have had the frame before.
      const fromHost = {
        link: EXTERNAL_INTERFACE,
        namespace: `/proc/${anchor.pid}/ns/net`,
        mark: COPIED_MARK,
        direct: true,
        groupSource: true,
      };
      const end = flow === "in" ? toHost : fromHost;
      try {
        const line = Line.open({ tap: device, ...end, fates: fates(FLOWS.indexOf(flow)) });
        this.#lines.set(device, line);
      } catch (error) {
        if (!(error instanceof NetlinkError)) {
          throw error;
        }
        throw new LabError("command-failed", error.message, { cause: error });
      }
      await runChecked(["sh", "-c", DEVICE_SCRIPT, "wire", device]);
    }
    await runChecked(["nft", "-f", "-"], { input: wireText(this.#plan) });
  }

  /**
   * What is on the wire is sent at once. Until `clear` the switch knows what was under way.
   * @throws LabError "lab-broke" when the wire itself has lost frames: nobody else is to be blamed for them
   */
  async end(): Promise<void> {
    if (await this.#hasTable()) {
      // Where the port is gone its chains are, too, and nothing passes them.
      await run(["nft", "-f", "-"], { input: bypassText(this.#plan) });
    }
    const lost = [...this.#lines].flatMap(([device, line]) => {
      const unread = droppedBy(device) ?? 0;
      line.close();
      const frames = unread + line.counts().dropped;
      return frames === 0 ? [] : [`${device} lost ${frames} frames, for which it had no room`];
    });
    this.#lines.clear();
    if (droppedBy(this.#plan.port) === undefined) {
      await this.clear();
    }
    if (lost.length > 0) {
      throw new LabError("lab-broke", lost.join("; "));
    }
  }

  /** To be called when the host was heard of after `end`, and with that all that it sent before. */
  async clear(): Promise<void> {
    if (await this.#hasTable()) {
      await runChecked(["nft", "delete", "table", "netdev", this.#plan.table]);
    }
  }

  async #hasTable(): Promise<boolean> {
    const { exitCode } = await run(["nft", "list", "table", "netdev", this.#plan.table]);
    return exitCode === 0;
  }
}

function flowsOf(direction: Direction): readonly Flow[] {
  return FLOWS.filter((flow) => direction === "both" || direction === flow);
}

function markText(mark: number): string {
  return `0x${mark.toString(16)}`;
}

/** Shorter than IFNAMSIZ, as `n256` is the longest name of a host. */
function deviceOf(port: string, flow: Flow): string {
  return `wire-${port}-${flow}`;
}

/** How many frames a device of the supervisor's namespace had no room for; undefined where there is none of that name. */
function droppedBy(device: string): number | undefined {
  const lines = (readText("/proc/net/dev") ?? "").split("\n").map((line) => line.trim());
  const line = lines.find((one) => one.startsWith(`${device}:`));
  const fields = line
    ?.slice(device.length + 1)
    .trim()
    .split(/\s+/);
  return fields === undefined ? undefined : Number(fields[SENT_DROPPED_FIELD]);
}
