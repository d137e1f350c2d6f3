import { type Finding, failIfAny, unknown } from "./verdict.ts";

export interface ProbeRecord {
  readonly name: string;
  readonly sent: number;
  readonly received: number;
}

/** Fewer packets than this say nothing about a gap. */
const PACKETS_MIN = 100;

export function noPacketLost(probes: readonly ProbeRecord[]): Finding {
  if (probes.length === 0) {
    return unknown("no probe ran");
  }
  const thin = probes.filter((probe) => probe.sent < PACKETS_MIN);
  if (thin.length > 0) {
    return unknown(
      ...thin.map(
        (probe) => `${probe.name}: only ${probe.sent} packets sent, ${PACKETS_MIN} are needed`,
      ),
    );
  }
  return failIfAny(
    probes
      .filter((probe) => probe.received < probe.sent)
      .map(
        (probe) => `${probe.name}: ${probe.sent - probe.received} of ${probe.sent} packets lost`,
      ),
    probes.map((probe) => `${probe.name}: ${probe.sent} packets, none lost`).join("; "),
  );
}
