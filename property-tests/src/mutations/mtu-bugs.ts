/** What can be wrong with the MTU that pods are told, as wrapped files. */
import type { Files } from "agent/system/files.ts";
import { SUBNET_FILE } from "../sim/actors.ts";

type WrapFiles = (files: Files) => Files;

/** subnet.env is written at the start and never again. */
export const writesSubnetFileOnce: WrapFiles = (files) => {
  let written = false;
  return {
    read: (path) => files.read(path),
    remove: (path) => files.remove(path),
    writeAtomically: async (path, text, mode) => {
      if (path === SUBNET_FILE && written) return;
      await files.writeAtomically(path, text, mode);
      written = true;
    },
  };
};

/** Pods are told the MTU of the tunnel as if it were twice in a tunnel. Source: flannel pkg/backend/vxlan/vxlan_network.go MTU. */
export const takesOverheadTwice: WrapFiles = (files) => ({
  read: (path) => files.read(path),
  remove: (path) => files.remove(path),
  writeAtomically: (path, text, mode) =>
    files.writeAtomically(
      path,
      text.replace(/^FLANNEL_MTU=(\d+)$/m, (_, mtu) => `FLANNEL_MTU=${Number(mtu) - 50}`),
      mode,
    ),
});
