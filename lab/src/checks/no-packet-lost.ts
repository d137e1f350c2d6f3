import { type Finding, failIfAny, unknown } from "./verdict.ts";

export interface ProbeRecord {
  readonly name: string;
  readonly sent: number;
  readonly received: number;
  /** The longest time between two answers. */
  readonly longestGapMs: number;
}

/** Fewer packets of one probe than this say nothing about a loss. */
const PACKETS_MIN = 100;

/** Every packet got an answer, and there were at least `packetsMin` of them in all. */
export function noPacketLost(probes: readonly ProbeRecord[], packetsMin: number): Finding {
  if (probes.length === 0) {
    return unknown("no probe ran");
  }
  const sent = probes.reduce((sum, probe) => sum + probe.sent, 0);
  if (sent < packetsMin - probes.length) {
    return unknown(`only ${sent} packets were sent, ${packetsMin} are needed`);
  }
  const thin = probes.filter((probe) => probe.sent < PACKETS_MIN);
  if (thin.length > 0) {
    return unknown(
      ...thin.map(
        (probe) => `${probe.name}: only ${probe.sent} packets sent, ${PACKETS_MIN} are needed`,
      ),
    );
  }
  const lost = probes.reduce((sum, probe) => sum + Math.max(0, probe.sent - probe.received), 0);
  const finding = failIfAny(
    probes
      .filter((probe) => probe.received < probe.sent)
      .map(
        (probe) => `${probe.name}: ${probe.sent - probe.received} of ${probe.sent} packets lost`,
      ),
    probes.map((probe) => `${probe.name}: ${probe.sent} packets, none lost`).join("; "),
  );
  return { ...finding, measured: { packets: sent, lost } };
}
