import { expect, test } from "vitest";
import { Claims } from "./claims.ts";

function claimed(...holders: readonly string[]): Claims<string> {
  const claims = new Claims<string>();
  for (const holder of holders) claims.add("a", holder);
  return claims;
}

test("one that claims a thing alone has no rivals, and is contested by nobody", () => {
  const claims = claimed("first");
  claims.add("b", "second");
  expect(claims.rivals("a")).toBeUndefined();
  expect(claims.takeContested()).toEqual([]);
});

test("all that claim one thing are rivals, in the order in which they came", () => {
  const claims = claimed("first", "second", "third");
  expect(claims.rivals("a")).toEqual(["first", "second", "third"]);
  expect(claims.takeContested()).toEqual(["first", "second", "third"]);
  expect(claims.takeContested()).toEqual([]);
});

test("whoever is left is told of, and has rivals only while there are others", () => {
  const claims = claimed("first", "second", "third");
  claims.takeContested();
  claims.remove("a", "first");
  expect(claims.takeContested()).toEqual(["second", "third"]);
  expect(claims.rivals("a")).toEqual(["second", "third"]);
  claims.remove("a", "third");
  expect(claims.takeContested()).toEqual(["second"]);
  expect(claims.rivals("a")).toBeUndefined();
  claims.remove("a", "second");
  claims.add("a", "fourth");
  expect(claims.rivals("a")).toBeUndefined();
  expect(claims.takeContested()).toEqual([]);
});

test("who claims nothing takes no claim along", () => {
  const claims = claimed("first");
  claims.remove("a", "second");
  claims.add("a", "third");
  expect(claims.rivals("a")).toEqual(["first", "third"]);
});
