/** What other machines, operators and attackers write under the prefix: none of it may harm anybody but its own lease. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Agent, type Node, SUBNETS, type World, twoNodes } from "./memory-world-bench.ts";

const GOOD = value("192.0.2.99");
const FREE = "10.42.250.0-24";

function value(publicIp: string, data = '{"VNI":1,"VtepMAC":"02:00:00:00:00:99"}'): string {
  return `{"PublicIP":"${publicIp}","PublicIPv6":null,"BackendType":"vxlan","BackendData":${data}}`;
}

const KEYS = [
  "10",
  "10.42.13.0",
  "10.42.13-24",
  "10.42.13.300-24",
  "10.42.013.0-24",
  "10.42.13.0-24hi",
  "x10.42.13.0-24",
  "10.42.13.0-32",
  "10.42.13.0-33",
  "10.42.13.0-",
  "10.42.13.0-+24",
  "10.42.13.7-24",
  "10.42.13.0/24",
  "10.42.13.0-24&:12:13:-56",
  "10.42.13.0-24&20011::-56",
  "10.42.13.0-24&2001-56",
  "10.42.13.0-24&2001::",
  "10.42.13.0-24&2001::-56hi",
  "10.42.13.0-24&FD00::-56",
  "&2001::-56",
  "10.42.13.0-24/deeper",
  "..",
];

const VALUES = [
  "",
  " ",
  "{",
  "not json",
  "null x",
  "[]",
  "7",
  '"text"',
  '{"PublicIP":null}',
  '{"PublicIP":7}',
  '{"PublicIP":"fd00::1"}',
  '{"PublicIP":"1.2.3"}',
  '{"PublicIP":"01.2.3.4"}',
  '{"PublicIP":"192.0.2.99","PublicIPv6":7}',
  `{"PublicIP":"192.0.2.99","BackendType":7}`,
  `{"PublicIP":"192.0.2.99",}`,
  `\u{feff}${GOOD}`,
  "\u{fffd}\u{0}\u{1b}[31m",
  "[".repeat(5000),
  `{"PublicIP":"192.0.2.99","BackendType":"vxlan","BackendData":"${"x".repeat(70_000)}"}`,
  value("0.0.0.0"),
  value("127.0.0.1"),
  value("224.0.0.1"),
  value("255.255.255.255"),
  value("10.42.9.9"),
  value("192.0.2.99", "null"),
  value("192.0.2.99", "7"),
  value("192.0.2.99", "[]"),
  value("192.0.2.99", "{}"),
  value("192.0.2.99", '{"VNI":1}'),
  value("192.0.2.99", '{"VNI":1,"VtepMAC":""}'),
  value("192.0.2.99", '{"VNI":1,"VtepMAC":"02:00:00:00:00"}'),
  value("192.0.2.99", '{"VNI":1,"VtepMAC":"ff:ff:ff:ff:ff:ff"}'),
  value("192.0.2.99", '{"VNI":1,"VtepMAC":"00:00:00:00:00:00"}'),
  value("192.0.2.99", '{"VNI":1,"VtepMAC":"01:00:5e:00:00:01"}'),
  value("192.0.2.99", '{"VNI":1,"VtepMAC":"$(reboot)"}'),
  value("192.0.2.99", '{"VNI":-1,"VtepMAC":"02:00:00:00:00:99"}'),
  value("192.0.2.99", '{"VNI":"1","VtepMAC":"02:00:00:00:00:99"}'),
  value("192.0.2.99", '{"VNI":1.5,"VtepMAC":"02:00:00:00:00:99"}'),
  '{"PublicIP":"192.0.2.99","PublicIPv6":null}',
  '{"PublicIP":"192.0.2.99","PublicIPv6":null,"BackendType":"host-gw"}',
];

describe("A13, C7: nonsense in the store", () => {
  let world: World;
  let nodes: readonly [Node, Node];
  let agents: readonly Agent[];

  beforeEach(async () => {
    ({ world, nodes, agents } = await twoNodes());
  });
  afterEach(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
  });

  /** Puts it, lets a minute with sweeps pass, and looks what changed and what was said. */
  async function expectHarmless(name: string, text: string): Promise<void> {
    const before = nodes.map((node) => node.kernel.print());
    const linesBefore = nodes[0].log.lines.length;
    await world.store.txn({
      compare: [],
      success: [{ action: "put", key: `${SUBNETS.prefix}${name}`, value: text }],
      failure: [],
    });
    await world.clock.advance(60_000);
    expect(nodes.map((node) => node.kernel.print())).toEqual(before);
    expect(agents.map((agent) => agent.ready)).toEqual([true, true]);
    const said = nodes[0].log.lines.slice(linesBefore).filter(({ level }) => level !== "debug");
    expect(said.map(({ level }) => level)).toEqual(["warn"]);
    const subnet = name.replace(/-(?=24$)/, "/");
    const words = JSON.stringify(said[0]);
    expect(words.includes(JSON.stringify(name).slice(1, -1)) || words.includes(subnet)).toBe(true);
    expect(words.length).toBeLessThan(1000);
  }

  test.each(KEYS)("the key %j changes nothing and is named once", async (name) => {
    await expectHarmless(name, GOOD);
  });

  test.each(VALUES.map((text): [string, string] => [text.slice(0, 80), text]))(
    "the value %j changes nothing for others and is named once",
    async (_, text) => {
      await expectHarmless(FREE, text);
    },
  );
});
