import type { Story } from "../story.ts";
import { type Bar, drawRows, type Row } from "./drawing.ts";

/** Steps, faults and agents over time, with violations across. */
export function drawTimeline(story: Story): string {
  const { endMs } = story;
  const steps: readonly Row[] = story.steps.map(({ number, facts, beginMs, end }) => ({
    name: `${number}. ${facts.text}`,
    bars:
      beginMs === undefined
        ? []
        : [
            {
              beginMs,
              endMs: end === undefined ? endMs : beginMs + end.ms,
              kind: end?.verdict ?? "unknown",
              title: `${facts.text}: ${end === undefined ? "did not end" : `${end.verdict}, ${Math.round(end.ms)} ms`}`,
              label: end?.verdict ?? "did not end",
            },
          ],
  }));
  const faults: readonly Row[] = story.faults.map((fault) => ({
    name: `fault ${fault.name} ${fault.target}`,
    bars: [
      {
        beginMs: fault.beginMs,
        endMs: fault.endMs ?? endMs,
        kind: "fault",
        title: `${fault.name} ${fault.target}: ${fault.saw ?? "nobody saw it"}`,
        label: fault.name,
      },
    ],
  }));
  return drawRows(
    `Timeline of ${steps.length} steps, ${faults.length} faults and ${story.violations.length} violations`,
    endMs,
    [...steps, ...faults, ...agentRows(story)],
    story.violations.map(({ violatedAt, id, host, detail }) => ({
      atMs: violatedAt,
      label: id,
      title: `${id}${host === undefined ? "" : ` on ${host}`}: ${detail}`,
    })),
  );
}

/** When each host's agent ran. */
function agentRows({ agentChanges, endMs }: Story): readonly Row[] {
  const hosts = [...new Set(agentChanges.map(({ host }) => host))];
  return hosts.map((host) => {
    const bars: Bar[] = [];
    let beginMs: number | undefined;
    const close = (atMs: number, how: string): void => {
      if (beginMs !== undefined) {
        bars.push({ beginMs, endMs: atMs, kind: "up", title: `${host}: agent ran, ${how}` });
      }
      beginMs = undefined;
    };
    for (const change of agentChanges.filter((one) => one.host === host)) {
      if (change.type === "agent-started") {
        close(change.at, "started again");
        beginMs = change.at;
      } else {
        close(change.at, change.signal ?? `code ${change.code ?? "unknown"}`);
      }
    }
    close(endMs, "to the end");
    return { name: `agent ${host}`, bars };
  });
}

/** The gaps of each probed pair; a pair without gaps has an empty row. */
export function drawGaps({ probes, endMs }: Story): string {
  return drawRows(
    "Gaps in the probe traffic per pair",
    endMs,
    probes.map(({ from, to, family, gaps }) => ({
      name: `${from} → ${to} ${family}`,
      bars: gaps.map(({ beginMs, lengthMs, lost }) => ({
        beginMs,
        endMs: beginMs + lengthMs,
        kind: "fail",
        title: `${Math.round(lengthMs)} ms from ${(beginMs / 1000).toFixed(3)} s, ${lost} packets lost`,
        label: `${Math.round(lengthMs)} ms`,
      })),
    })),
  );
}

/** Which node owned which subnet when. */
export function drawLeases({ leases, topology, endMs }: Story): string {
  const hosts = new Map(
    topology?.hosts.flatMap(({ name, publicIps }) => publicIps.map((ip) => [ip, name])),
  );
  const keys = [...new Set(leases.map(({ key }) => key))].toSorted((a, b) =>
    a.localeCompare(b, "en", { numeric: true }),
  );
  return drawRows(
    `Lease map of ${keys.length} subnets`,
    endMs,
    keys.map((key) => ({
      name: key.slice(key.lastIndexOf("/") + 1),
      bars: leases
        .filter((lease) => lease.key === key)
        .map((lease) => ({
          beginMs: lease.beginMs,
          endMs: lease.endMs ?? endMs,
          kind: "lease",
          title: `${key}: ${lease.owner} from ${(lease.beginMs / 1000).toFixed(3)} s`,
          label: hosts.get(lease.owner) ?? lease.owner,
        })),
    })),
  );
}
