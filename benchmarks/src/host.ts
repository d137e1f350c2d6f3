/** A host in the network namespace of this process: an external interface, the agent's vxlan backend, and its reconcile loop. */
import { execFileSync } from "node:child_process";
import type { Backend } from "agent/backends/backend.ts";
import { vxlan } from "agent/backends/vxlan/index.ts";
import { parseCidr, parseIp } from "agent/core/ip.ts";
import { NO_PREDECESSOR, type Reconciler, openReconciler } from "agent/daemon-loop.ts";
import type { Kernel } from "agent/kernel/kernel.ts";
import { MemoryLog } from "agent/system/memory-log.ts";
import { SeededRandom } from "agent/system/seeded-random.ts";
import { SystemClock } from "agent/system/system-clock.ts";
import { CONFIG, OWN_SUBNET } from "./peers.ts";

export const DEVICE = "flannel.1";
const ADDRESS = "192.0.2.1";

export function ip(...words: readonly string[]): void {
  execFileSync("ip", words, { stdio: ["ignore", "ignore", "inherit"] });
}

/** Makes the external interface; the namespace is this process's own. */
export function makeExternalInterface(): void {
  ip("link", "set", "lo", "up");
  ip("link", "add", "eth0", "type", "veth", "peer", "name", "other");
  ip("address", "add", `${ADDRESS}/24`, "dev", "eth0");
  for (const name of ["eth0", "other"]) ip("link", "set", name, "up");
}

/** The device as the agent makes it, for who programs it without the agent. */
export function makeDevice(): void {
  const options = `id 1 local ${ADDRESS} dev eth0 dstport 8472 nolearning`;
  ip("link", "add", DEVICE, "type", "vxlan", ...options.split(" "));
  ip("link", "set", DEVICE, "up");
}

/** Ends what was programmed: the device takes it along. */
export function removeDevice(): void {
  ip("link", "delete", DEVICE);
}

export interface Host {
  readonly backend: Backend;
  readonly reconciler: Reconciler;
}

export async function openHost(kernel: Kernel): Promise<Host> {
  const log = new MemoryLog();
  const address = parseIp(ADDRESS);
  const backend = await vxlan.open({
    networkConfig: CONFIG,
    previousLease: undefined,
    externalInterface: {
      name: "eth0",
      mtu: 1500,
      addresses: { 4: address },
      publicIps: { 4: address },
    },
    kernel,
    random: new SeededRandom(1),
    log,
  });
  const own = {
    ...backend.attributes,
    subnets: { 4: parseCidr(`10.${OWN_SUBNET >> 8}.${OWN_SUBNET & 0xff}.0/24`) },
  };
  const reconciler = openReconciler({
    environment: { backend, look: () => Promise.resolve(false) },
    kernel,
    clock: new SystemClock(),
    log,
    own: () => own,
    predecessor: NO_PREDECESSOR,
  });
  return { backend, reconciler };
}
