import { ENVIRONMENT } from "../../system/processes.ts";
import type { ContainerWish } from "./engine.ts";

/** The image of every host, in the lab's own daemon. */
export const HOST_IMAGE = "twill-lab-host";

/**
 * What a host's programs may do beyond what Docker's containers may, as a DaemonSet of flannel asks for it.
 * Source: flannel Documentation/kube-flannel.yml, securityContext.
 */
const CAPABILITIES = ["NET_ADMIN", "NET_RAW"];

/** The container that a host is: it does nothing by itself. */
export function hostContainer(hostname: string, mounts: readonly unknown[]): ContainerWish {
  return {
    Image: HOST_IMAGE,
    Hostname: hostname,
    Cmd: ["sleep", "infinity"],
    Env: [`PATH=${ENVIRONMENT["PATH"] ?? ""}`],
    HostConfig: {
      NetworkMode: "none",
      // Processes have the ids that the lab knows them by.
      PidMode: "host",
      CapAdd: CAPABILITIES,
      // A host is a machine: whoever is root on it sets how its network goes.
      SecurityOpt: ["apparmor=unconfined"],
      ReadonlyPaths: [],
      MaskedPaths: [],
      Mounts: mounts,
      LogConfig: { Type: "none" },
    },
  };
}
