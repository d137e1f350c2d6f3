import { expect, test } from "vitest";
import { parseIp } from "../core/ip.ts";
import { ByIdentity } from "./by-identity.ts";
import { Holdings } from "./holdings.ts";
import type { Change, Kernel, Neighbour } from "./kernel.ts";
import { Pass } from "./pass.ts";
import { MAC_2, MAC_9, world } from "./sample-objects.ts";

function neighbour(index: number, mac = MAC_2): Neighbour {
  return {
    kind: "neighbour",
    link: "flannel.1",
    address: parseIp(`10.42.${index >> 8}.${index & 0xff}`),
    mac,
  };
}

test("a long stage goes in batches, and the removal and the put of one object are never apart", async () => {
  const kernel = world();
  const sizes: number[] = [];
  const counted: Kernel = Object.assign(Object.create(kernel) as Kernel, {
    apply: (changes: readonly Change[]) => {
      sizes.push(changes.length);
      return kernel.apply(changes);
    },
  });
  const before = Array.from({ length: 8191 }, (_, index): Change => ({
    action: "remove",
    object: neighbour(index),
  }));
  const stage: readonly Change[] = [
    ...before,
    { action: "remove", object: neighbour(5000) },
    { action: "put", object: neighbour(5000, MAC_9) },
    { action: "remove", object: neighbour(6000) },
  ];
  const pass = new Pass(counted, new Holdings(), {
    mayTry: () => true,
    isMissing: undefined,
    needed: new ByIdentity(),
    breathe: () => Promise.resolve(),
  });
  await pass.run({ stages: [stage], blocked: [], actual: new Holdings() });
  expect(sizes).toEqual([8193, 1]);
});
