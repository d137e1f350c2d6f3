import { expect, test } from "vitest";
import { parseNetworkConfig } from "./network-config.ts";
import { findMissingPrerequisites, neededSwitches } from "./prerequisites.ts";

const SIX = '"EnableIPv6":true,"IPv6Network":"fd00::/48"';
const single = parseNetworkConfig('{"Network":"10.3.0.0/16"}');
const six = parseNetworkConfig(`{"EnableIPv4":false,${SIX}}`);
const dual = parseNetworkConfig(`{"Network":"10.3.0.0/16",${SIX}}`);
const nftables = parseNetworkConfig(`{"Network":"10.3.0.0/16",${SIX},"EnableNFTables":true}`);

const FIT = {
  "net/ipv4/ip_forward": "1\n",
  "net/ipv6/conf/all/forwarding": "1\n",
  "net/bridge/bridge-nf-call-iptables": "1\n",
  "net/bridge/bridge-nf-call-ip6tables": "1\n",
};

function missing(config: typeof single, changed: Record<string, string | undefined>): string[] {
  const switches = { ...FIT, ...changed };
  return [...findMissingPrerequisites(config, new Map(Object.entries(switches)))];
}

const FORWARD_4 =
  'net.ipv4.ip_forward is 0: this node forwards no IPv4 packets of pods; run "sysctl -w net.ipv4.ip_forward=1", and put it into /etc/sysctl.d for the next boot';

test("a fit machine is not spoken of, whatever the families", () => {
  for (const config of [single, six, dual, nftables]) expect(missing(config, {})).toEqual([]);
});

test("only the switches of the enabled families are read", () => {
  expect(neededSwitches(single)).toEqual([
    "net/ipv4/ip_forward",
    "net/bridge/bridge-nf-call-iptables",
  ]);
  expect(neededSwitches(dual).toSorted()).toEqual(Object.keys(FIT).toSorted());
});

test("forwarding that is off is named by family, with the command that switches it on", () => {
  const off = { "net/ipv4/ip_forward": "0\n", "net/ipv6/conf/all/forwarding": "0\n" };
  expect(missing(single, off)).toEqual([FORWARD_4]);
  expect(missing(six, off)).toEqual([
    expect.stringMatching(/^net\.ipv6\.conf\.all\.forwarding is 0: .*no IPv6 packets/),
  ]);
  expect(missing(dual, off)).toHaveLength(2);
});

test("br_netfilter is looked for by its files, as the reference does, and not with nftables", () => {
  const gone = {
    "net/bridge/bridge-nf-call-iptables": undefined,
    "net/bridge/bridge-nf-call-ip6tables": undefined,
  };
  expect(missing(single, gone)).toEqual([
    expect.stringMatching(
      /^Failed to check br_netfilter: there is no \/proc\/sys\/net\/bridge\/bridge-nf-call-iptables.*modprobe br_netfilter/,
    ),
  ]);
  expect(missing(six, gone)[0]).toContain("bridge-nf-call-ip6tables");
  expect(missing(dual, gone)).toHaveLength(2);
  expect(missing(nftables, gone)).toEqual([]);
  // Its value is an operator's choice.
  expect(missing(single, { "net/bridge/bridge-nf-call-iptables": "0\n" })).toEqual([]);
});

test("a kernel without IPv6 is told of in the words of the network config", () => {
  expect(missing(dual, { "net/ipv6/conf/all/forwarding": undefined })).toEqual([
    "there is no net.ipv6.conf.all.forwarding: this kernel has no IPv6, which the network config enables; boot without ipv6.disable=1, or set EnableIPv6 to false",
  ]);
});
