import { addQueue, demandNoQueue, egressesOf, removeQueue } from "../egress.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import {
  beyond,
  demandAnswer,
  DIRECTION,
  type Direction,
  directionOf,
  pingFrom,
} from "../packet-filter.ts";

interface Target {
  readonly direction: Direction;
  readonly kbit: number;
  readonly beyond: string;
}

/** Both together are less than the large ping, whose fragments come at once: it cannot get through a link that is limited. */
const BUCKET_BYTES = 16_000;
const QUEUE_BYTES = 16_000;
const LARGE = { count: 1, intervalSeconds: 1, bytes: 60_000 };
const SMALL = { count: 1, intervalSeconds: 1 };

export const rate: AnyFault = defineFault<Target>({
  name: "rate",
  summary: "Limits how much a host's link carries a second; what comes too fast is lost.",
  place: "host",
  parameters: {
    // At a gigabit the kernel would have sent a tenth of the large ping before it came to the end of it.
    kbit: { help: "kilobits a second", value: { kind: "number", min: 64, max: 100_000 } },
    direction: DIRECTION,
  },
  needs: "traffic-shaper",
  timeLimitMs: 10_000,
  aim: async (site, { parameters }) => {
    const target: Target = {
      direction: directionOf(parameters),
      kbit: Number(parameters["kbit"]),
      beyond: beyond(site, "all"),
    };
    await demandNoQueue(egressesOf(site.host(), target.direction));
    await demandAnswer(site.host(), target.beyond);
    return target;
  },
  inject: (site, { direction, kbit }) =>
    addQueue(
      egressesOf(site.host(), direction),
      `tbf rate ${kbit}kbit burst ${BUCKET_BYTES} limit ${QUEUE_BYTES}`.split(" "),
    ),
  verify: async (site, target) => {
    const small = await pingFrom(site.host(), target.beyond, SMALL);
    const large = await pingFrom(site.host(), target.beyond, LARGE);
    return small.received === 1 && large.received === 0
      ? {
          saw: `${LARGE.bytes} bytes at once from ${site.host().name} to ${target.beyond} and back were lost, a small ping was not`,
        }
      : undefined;
  },
  heal: (site, { direction }) => removeQueue(egressesOf(site.host(), direction)),
  verifyHealed: async (site, target) =>
    (await pingFrom(site.host(), target.beyond, LARGE)).received === 1
      ? { saw: `a ping of ${LARGE.bytes} bytes from ${site.host().name} was answered` }
      : undefined,
});
