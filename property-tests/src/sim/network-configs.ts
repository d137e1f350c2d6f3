/** The network configurations that an operator of a simulated world writes. */
import type { Plan } from "./plan.ts";

export const CONFIG_VARIANTS = 8;

/** Lengths by how many subnets there shall be in a /24 of IPv4: about 4000, 15 or 7, in each family. */
const SHAPES = {
  roomy: { networkLength: 16, subnetLength: 28, networkLengthV6: 112, subnetLengthV6: 124 },
  tight: { networkLength: 24, subnetLength: 28, networkLengthV6: 120, subnetLengthV6: 124 },
  scarce: { networkLength: 25, subnetLength: 28, networkLengthV6: 121, subnetLengthV6: 124 },
};

/** Variants from 4 on have the other backend. */
export function backendOf({ backend }: Plan, variant: number): Plan["backend"] {
  if (variant < 4) return backend;
  return backend === "vxlan" ? "host-gw" : "vxlan";
}

/** The configuration of a plan: an odd variant has other lengths, 2, 3, 6 and 7 another network, those from 4 on the other backend. */
export function networkConfig(plan: Plan, variant: number): string {
  const shape = SHAPES[plan.range];
  const second = variant % 4 >= 2 ? 43 : 42;
  const longer = variant % 2;
  return JSON.stringify({
    Network: `10.${second}.0.0/${shape.networkLength}`,
    SubnetLen: shape.subnetLength + longer,
    ...(plan.dualStack
      ? {
          EnableIPv6: true,
          IPv6Network: `fd00:${second}::/${shape.networkLengthV6}`,
          IPv6SubnetLen: shape.subnetLengthV6 + longer,
        }
      : {}),
    Backend: { ...plan.backendOptions, Type: backendOf(plan, variant) },
  });
}
