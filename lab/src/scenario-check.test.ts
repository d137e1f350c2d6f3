import { expect, test } from "vitest";
import { checkScenario, hostsOf, needsOf } from "./scenario-check.ts";
import type { Scenario, Step } from "./scenario.ts";

function scenario(...steps: readonly unknown[]): Scenario {
  return {
    name: "x",
    why: "y",
    invariants: [],
    nodes: 2,
    variants: [{ backend: "vxlan", family: "v4", segments: 1 }],
    // Files of scenarios come from anywhere: what is in them need not be of the type.
    steps: steps as readonly Step[],
  };
}

test.each([
  [{ fault: "meteor", node: 1 }, /^scenario x, step 1: there is no fault "meteor"; there are /],
  [{ fault: "delete-route", node: 1 }, /^scenario x, step 1: fault delete-route: wants --peer/],
  [{ fault: "change-mtu", node: 1, mtu: 12 }, /--mtu wants a whole number from 1350/],
  [{ fault: "kill-agent", node: 3 }, /^scenario x, step 1: there is no n3; there are n1, n2$/],
  [{ fault: "delete-route", node: 1, peer: 7 }, /there is no n7/],
  [{ probe: "start", from: 1, to: 4 }, /there is no n4/],
  [
    { fault: "stop-member" },
    /^scenario x, step 1: fault stop-member wants a store of at least 2 m/,
  ],
  [{ fault: "expire-tokens" }, /^scenario x, step 1: fault expire-tokens wants a store with users/],
  [{ fault: "stop-member", member: 9 }, /--member wants one of leader, follower, 1, 2/],
])("refuses %j in one line", (step, message) => {
  expect(() => {
    checkScenario(scenario(step));
  }).toThrow(message);
});

test("counts the members of the store", () => {
  const of = (member: number): Scenario => ({
    ...scenario({ fault: "stop-member", member }),
    storeMembers: 3,
  });
  expect(() => {
    checkScenario(of(3));
  }).not.toThrow();
  expect(() => {
    checkScenario(of(4));
  }).toThrow("wants a store of at least 4 members: storeMembers is 3");
});

test("knows which nodes came and went", () => {
  const steps: readonly Step[] = [
    { act: "add-node" },
    { fault: "kill-agent", node: 3 },
    { act: "remove-node", node: 2 },
    { act: "return-node", node: 2 },
    { act: "start-agent", node: 2 },
  ];
  expect(() => {
    checkScenario(scenario(...steps));
  }).not.toThrow();
  expect(() => {
    checkScenario(
      scenario(...steps.filter((step) => "act" in step && step.act === "remove-node"), steps[4]),
    );
  }).toThrow("there is no n2");
});

test("knows which nodes a storm brings or takes, and until when", () => {
  const steps: readonly Step[] = [
    { fault: "join-storm", hosts: 2 },
    { fault: "kill-agent", node: 4 },
    { act: "heal" },
    { act: "add-node" },
    { fault: "kill-agent", node: 5 },
    { fault: "leave-storm", hosts: 2 },
    { act: "heal" },
    { fault: "kill-agent", node: 2 },
  ];
  const without = (number: number): Scenario =>
    scenario(...steps.filter((_, index) => index !== number));
  expect(hostsOf(scenario(...steps))).toEqual(["n1", "n2", "n3", "n4", "n5"]);
  expect(() => {
    checkScenario(scenario(...steps));
  }).not.toThrow();
  expect(() => {
    checkScenario(scenario(...steps.slice(0, 3), steps[1]));
  }).toThrow("step 4: there is no n4; there are n1, n2");
  expect(() => {
    checkScenario(without(6));
  }).toThrow("step 7: there is no n2; there are n1");
});

test("says what its faults need of the machine", () => {
  expect(needsOf(scenario({ fault: "kill-agent", node: 1 })).size).toBe(0);
  expect([...needsOf(scenario({ fault: "partition", node: 1 }))]).toEqual(["packet-filter"]);
});

test("knows every host that it ever has", () => {
  expect(hostsOf(scenario())).toEqual(["n1", "n2"]);
  expect(
    hostsOf(
      scenario(
        { act: "add-node" },
        { act: "remove-node", node: 2 },
        { act: "return-node", node: 2 },
        { act: "return-node", node: 7 },
      ),
    ),
  ).toEqual(["n1", "n2", "n3", "n7"]);
});
