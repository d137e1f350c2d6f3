/** What an agent shows of itself while it runs: pages for probes and scrapes on a port, for the commands of its own binary on a socket. */
import { AgentError } from "./core/errors.ts";
import type { Vitals } from "./daemon-vitals.ts";
import type { Options } from "./options.ts";
import { EXPOSITION_TYPE } from "./status/exposition.ts";
import { TRAFFIC_FILE, parseLinkTraffic } from "./status/link-traffic.ts";
import { formatMetrics } from "./status/metrics.ts";
import type { ProcessFigures } from "./status/metrics.ts";
import { healthzPage, readyzPage, reportPage } from "./status/pages.ts";
import type { Report } from "./status/pages.ts";
import type { Clock } from "./system/clock.ts";
import type { Files } from "./system/files.ts";
import { HealthServer } from "./system/health-server.ts";
import type { AnswerMaker, Pages } from "./system/health-server.ts";
import type { Log } from "./system/log.ts";
import { Slices } from "./system/slices.ts";
import { openStatusSocket } from "./system/status-socket.ts";

/** What there is to show, and by what. */
export interface View {
  readonly options: Pick<
    Options,
    "healthIp" | "healthPort" | "readyzOnce" | "statusSocket" | "subnetFile"
  >;
  readonly version: string;
  readonly vitals: Vitals;
  /** Whether the agent has been ready since its start. */
  readonly wasReady: () => boolean;
  readonly processFigures: () => ProcessFigures;
  readonly files: Files;
  readonly clock: Clock;
}

/** Listens before anything slow is done. @throws AgentError "listen-failed" */
export async function openHealth(view: View): Promise<AsyncDisposable | undefined> {
  const { healthIp, healthPort } = view.options;
  return healthPort > 0 ? HealthServer.open(healthIp, healthPort, healthPages(view)) : undefined;
}

/** For probes and scrapes. */
export function healthPages({
  options,
  version,
  vitals,
  wasReady,
  processFigures,
  files,
  clock,
}: View): Pages {
  return new Map<string, AnswerMaker>([
    ["/healthz", healthzPage],
    [
      "/readyz",
      () => {
        const { stage, readiness } = vitals;
        const { isReady: ready, hindrances } = readiness;
        return readyzPage({ ready, hindrances, stage }, options.readyzOnce && wasReady());
      },
    ],
    [
      "/metrics",
      async () => {
        const state = vitals.state(clock.nowMs());
        const links = state.backend?.links ?? [];
        const traffic = parseLinkTraffic((await files.read(TRAFFIC_FILE)) ?? "", links);
        const body = formatMetrics({ version, state, traffic, process: processFigures() });
        return { status: 200, type: EXPOSITION_TYPE, body };
      },
    ],
  ]);
}

/** For the commands of our own binary. */
export function statusPages({ options, version, vitals, clock }: View): Pages {
  const startedMs = clock.nowMs();
  const report = (): Report => ({
    version,
    uptimeSeconds: (clock.nowMs() - startedMs) / 1_000,
    subnetFile: options.subnetFile,
    state: vitals.state(clock.nowMs()),
  });
  const reportWithWish = (): Report => {
    const wish = vitals.wish();
    return { ...report(), ...(wish === undefined ? {} : { wish }) };
  };
  // Taken at once, and written in slices.
  const slices = new Slices(clock);
  return new Map<string, AnswerMaker>([
    ["/healthz", healthzPage],
    ["/status", () => slices.run(reportPage(report()))],
    ["/wish", () => slices.run(reportPage(reportWithWish()))],
  ]);
}

/** A node without a socket of its own carries pod packets all the same. */
export async function openStatus(view: View, log: Log): Promise<AsyncDisposable | undefined> {
  const { options } = view;
  if (options.statusSocket === "") return undefined;
  try {
    return await openStatusSocket(options.statusSocket, statusPages(view));
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    log.warn(
      {},
      `${error.message}: going on without flanneld status; -status-socket names another`,
    );
    return undefined;
  }
}
