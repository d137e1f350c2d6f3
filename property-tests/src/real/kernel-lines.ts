/** What kernels show and should show for the leases in the store, in the words of ip(8) and bridge(8) (spec 05 section 2). */
import type { KeyValue } from "agent/subnet-manager/etcd/key-value-store.ts";
import { until } from "agent/subnet-manager/etcd/etcd3-test-server.ts";
import { readStored } from "../sim/stored.ts";
import type { Machine, WholeAgent } from "./whole-agent.ts";

/** What the tunnel device carries for peers. */
export function peerLines({ kernel }: Machine): readonly string[] {
  return flannelLines(kernel.print(), /^(fdb|neigh|route) /);
}

/** The tunnel device and its addresses. */
export function deviceLines({ kernel }: Machine): readonly string[] {
  return flannelLines(kernel.print(), /^(link|address) /);
}

function flannelLines(printed: string, kinds: RegExp): readonly string[] {
  const lines = printed.split("\n").filter((line) => kinds.test(line) && line.includes("flannel"));
  return lines.toSorted();
}

/** What the node's tunnel device should carry: three lines for each lease of another owner. */
export function expectedPeerLines(publicIp: string, live: readonly KeyValue[]): readonly string[] {
  return live
    .flatMap((entry) => {
      const stored = readStored(entry);
      if (stored?.owner === undefined || stored.owner === publicIp) return [];
      const [gateway = ""] = (stored.blocks[0]?.text ?? "").split("/");
      const mac = (stored.value["BackendData"] as { VtepMAC?: string } | null)?.VtepMAC;
      return [
        `fdb ${mac} dev flannel.1 dst ${stored.owner} self permanent`,
        `neigh ${gateway} dev flannel.1 lladdr ${mac} PERMANENT`,
        `route ${gateway}/24 via ${gateway} dev flannel.1 onlink`,
      ];
    })
    .toSorted();
}

/** Whether the agent is ready with the subnet that the store says is its own, and its kernel shows every peer and nobody else (D1). */
export function equalsLeases(agent: WholeAgent, live: readonly KeyValue[]): boolean {
  if (!agent.ready) return false;
  const own = live.find((entry) => readStored(entry)?.owner === agent.publicIp);
  const [address = ""] = (own === undefined ? "" : (readStored(own)?.blocks[0]?.text ?? "")).split(
    "/",
  );
  return (
    deviceLines(agent.machine).includes(`address ${address}/32 dev flannel.1`) &&
    isSame(peerLines(agent.machine), expectedPeerLines(agent.publicIp, live))
  );
}

/** Waits until every agent's kernel shows what a linearizable read of the store says. */
export function untilAllEqual(
  withinMs: number,
  agents: readonly WholeAgent[],
  readLive: () => Promise<readonly KeyValue[]>,
): Promise<void> {
  return until(withinMs, "every kernel to show the leases", async () => {
    const live = await readLive();
    return agents.every((agent) => equalsLeases(agent, live));
  });
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((line, index) => line === other[index]);
}
