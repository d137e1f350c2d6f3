import type { ProbeRecord } from "../checks/no-packet-lost.ts";
import { LabError } from "../errors.ts";
import type { Lab } from "../lab.ts";

/** Numbered packets from a pod to an address, until told to stop. */
export interface Probe {
  stop(): Promise<ProbeRecord>;
}

const INTERVAL_SECONDS = 0.005;

/** Starts `ping` in the pod of a host; stopping it reads which numbers were answered. */
export function startProbe(lab: Lab, from: string, address: string): Probe {
  const controller = new AbortController();
  const argv = ["ping", "-n", "-i", String(INTERVAL_SECONDS), address];
  const ended = lab.exec({ host: from, place: "pod", argv }, { signal: controller.signal });
  // Looked at in stop(); a probe that died before must not be an unhandled rejection meanwhile.
  ended.catch(() => undefined);
  return {
    async stop() {
      controller.abort();
      const { stdout, stderr } = await ended;
      const record = parseProbe(stdout);
      if (record === undefined) {
        throw new LabError(
          "command-failed",
          `${from}: ${argv.join(" ")}: ${stderr.trim() || "no summary"}`,
        );
      }
      return { name: `${from} → ${address}`, ...record };
    },
  };
}

/**
 * Counts the packets of a `ping` that was interrupted; undefined without its summary. The last packet is left out when it
 * has no answer: it may have been on its way. An answer that came twice counts once.
 */
export function parseProbe(output: string): Omit<ProbeRecord, "name"> | undefined {
  const summary = /^(\d+) packets transmitted,/m.exec(output);
  if (summary === null) {
    return undefined;
  }
  const sent = Number(summary[1]);
  const answered = new Set(
    [...output.matchAll(/bytes from .* icmp_seq=(\d+) /g)].map((match) => Number(match[1])),
  );
  const counted = answered.has(sent) ? sent : Math.max(0, sent - 1);
  return { sent: counted, received: answered.size };
}
