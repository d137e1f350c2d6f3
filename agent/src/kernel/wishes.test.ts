import { expect, test } from "vitest";
import { identityOf } from "./identity.ts";
import type { KernelObject } from "./kernel.ts";
import { BASE, MAC_9, peer } from "./sample-objects.ts";
import { finish } from "../system/slices.ts";
import { Wishes } from "./wishes.ts";

const [NEIGHBOUR, FDB, ROUTE] = peer(2);

function changed(wishes: Wishes): readonly string[] {
  return finish(wishes.takeChanges())
    .values()
    .map(({ of }) => identityOf(of));
}

test("what two wish for is there once, and until both have taken it back", () => {
  const wishes = new Wishes();
  wishes.add(FDB);
  wishes.add({ ...FDB });
  expect(changed(wishes)).toEqual([identityOf(FDB)]);
  wishes.remove(FDB);
  expect(changed(wishes)).toEqual([]);
  expect(wishes.objects.values()).toEqual([FDB]);
  wishes.remove(FDB);
  expect(changed(wishes)).toEqual([identityOf(FDB)]);
  expect(wishes.objects.size).toBe(0);
});

test("a change says what was wished before; taking back and wishing again is none", () => {
  const wishes = new Wishes();
  for (const object of [...BASE, NEIGHBOUR]) wishes.add(object);
  expect(changed(wishes)).toHaveLength(4);
  wishes.remove(NEIGHBOUR);
  wishes.add({ ...NEIGHBOUR });
  expect(changed(wishes)).toEqual([]);
  wishes.remove(NEIGHBOUR);
  wishes.add({ ...NEIGHBOUR, mac: MAC_9 });
  expect(finish(wishes.takeChanges()).values()).toEqual([{ of: NEIGHBOUR, before: NEIGHBOUR }]);
});

test("what changes while nobody follows is wished for, and not told of later", () => {
  const wishes = new Wishes();
  wishes.isFollowed = false;
  wishes.add(FDB);
  wishes.isFollowed = true;
  wishes.add(NEIGHBOUR);
  expect(wishes.objects.values()).toEqual([FDB, NEIGHBOUR]);
  expect(changed(wishes)).toEqual([identityOf(NEIGHBOUR)]);
});

test("two that wish for different things of one identity are a mistake of ours", () => {
  const wishes = new Wishes();
  wishes.add(NEIGHBOUR);
  expect(() => wishes.add({ ...NEIGHBOUR, mac: MAC_9 })).toThrow("wishes for the same");
});

test("an object may be written as several, which others may share", () => {
  const shared: KernelObject = { ...FDB, mac: MAC_9 };
  const twofold = (object: KernelObject): readonly KernelObject[] =>
    object.kind === "route" ? [shared, object] : [object];
  const wishes = new Wishes({ write: twofold, takeBack: twofold });
  const [, , other] = peer(3);
  wishes.add(ROUTE);
  wishes.add(other);
  expect(wishes.objects.values()).toEqual([shared, ROUTE, other]);
  wishes.remove(ROUTE);
  expect(wishes.objects.values()).toEqual([shared, other]);
  wishes.remove(other);
  expect(wishes.objects.size).toBe(0);
});
