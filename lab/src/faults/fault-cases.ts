import { describe } from "vitest";
import { examineFaultNeed } from "../doctor.ts";
import type { FaultRequest } from "../lab.ts";
import type { FaultNeed } from "./fault.ts";
import { FAULTS } from "./registry.ts";

/** For the tests of faults: what each is tried with, and which this machine can do. */
export interface FaultCase {
  readonly request: FaultRequest;
  /** Who must have seen the effect. */
  readonly saw: RegExp;
  /** What the test itself sees in a host meanwhile, where the agent does not repair it at once. */
  readonly meanwhile?: { readonly argv: readonly string[]; readonly says: RegExp };
}

function strike(
  fault: string,
  parameters: FaultRequest["parameters"],
  saw: RegExp,
  meanwhile?: FaultCase["meanwhile"],
): FaultCase {
  const request = { fault, host: "n1", parameters };
  return { request, saw, ...(meanwhile === undefined ? {} : { meanwhile }) };
}

export const PEER = { peer: "n2" };
const PING_STORE = ["sh", "-c", "ping -q -c 1 -W 0.5 172.31.1.2 | grep received"];
const PING_PEER = ["sh", "-c", "ping -q -c 1 -W 0.5 172.31.1.12 | grep received"];
const PING_POD_OF_PEER =
  "ping -q -c 1 -W 0.5 $(ip route show dev flannel.1 | sed -n 's,0/24 .*,2,p') | grep received";
const show = (...argv: readonly string[]): readonly string[] => ["ip", ...argv];

/** Each fault, with parameters that matter, and what is to be seen of it. */
export const FAULT_CASES: readonly FaultCase[] = [
  strike("delete-route", PEER, /kernel of n1 told of the removal of route 10\.244\..* route fd00/),
  strike("delete-neighbour", PEER, /removal of neighbour 10\.244\..* neighbour fd00/),
  strike("delete-fdb", PEER, /removal of fdb .* dst 172\.31\.1\.12 .* dst fd00:31:0:1::c/),
  strike("alter-route", PEER, /another object in place of route 10\.244\./),
  strike("alter-neighbour", PEER, /another object in place of neighbour 10\.244\./),
  strike("alter-fdb", PEER, /another object in place of fdb /),
  strike("flush-routes", {}, /removal of route /),
  strike("delete-link", { link: "flannel.1" }, /removal of flannel\.1/),
  strike("change-mac", { link: "flannel.1" }, /flannel\.1 with 02:00:00:00:0b:ee/),
  strike("foreign-route", {}, /dump of n1 shows 198\.51\.100\.0\/24/, {
    argv: show("route", "show", "198.51.100.0/24"),
    says: /via 172\.31\.1\.1 dev eth0 proto static/,
  }),
  strike("foreign-device", {}, /dump of n1 shows other0/, {
    argv: show("route", "show", "dev", "other0"),
    says: /203\.0\.113\.0\/24 via 192\.0\.2\.77/,
  }),
  strike("detour", PEER, /dump of n1 shows 172\.31\.1\.12\/32 via 172\.31\.1\.1, fd00/, {
    argv: show("route", "get", "172.31.1.12"),
    says: /via 172\.31\.1\.1/,
  }),
  strike("change-mtu", { mtu: "1400" }, /eth0 with MTU 1400/, {
    argv: show("link", "show", "eth0"),
    says: /mtu 1400/,
  }),
  strike("change-address", {}, /removal of 172\.31\.1\.11, .*address 172\.31\.1\.111/, {
    argv: show("-br", "address", "show", "eth0"),
    says: /172\.31\.1\.111\/24 fd00:31:0:1::6f\/64/,
  }),
  strike("link-flap", { side: "host" }, /eth0 down/, {
    argv: show("-br", "link", "show", "eth0"),
    says: /DOWN/,
  }),
  strike("link-flap", { side: "switch" }, /eth0 without a carrier/, {
    argv: show("-br", "link", "show", "eth0"),
    says: /NO-CARRIER/,
  }),
  strike("partition", { from: "store" }, /a ping from n1 to 172\.31\.1\.2 came to nothing/, {
    argv: ["sh", "-c", `${PING_STORE[2]}; ${PING_PEER[2]}`],
    says: / 0 received[^]* 1 received/,
  }),
  strike("partition", { from: "peers", direction: "out" }, /a ping from n1 to 172/, {
    argv: ["sh", "-c", `${PING_STORE[2]}; ${PING_PEER[2]}`],
    says: / 1 received[^]* 0 received/,
  }),
  strike("partition", { direction: "in" }, /a ping from n1 to 172/, {
    argv: PING_STORE,
    says: / 0 rec/,
  }),
  strike("loss", { percent: "40" }, /\d+ of 50 pings from n1 were lost/),
  strike("partition-pair", PEER, /to 172\.31\.1\.12 came to nothing, and 172\.31\.1\.1 answered/, {
    argv: ["sh", "-c", `${PING_STORE[2]}; ${PING_PEER[2]}`],
    says: / 1 received[^]* 0 received/,
  }),
  strike("partition-pair", { ...PEER, direction: "out" }, /to 172\.31\.1\.12 came to nothing/),
  strike("black-hole", PEER, /pod of n1 to that of n2 came to nothing, and 172\.31\.1\.12 answ/, {
    argv: ["sh", "-c", `${PING_POD_OF_PEER}; ${PING_PEER[2]}`],
    says: / 0 received[^]* 1 received/,
  }),
  strike("reset-connections", {}, /a new connection of n1 to the store was reset, and it has no/, {
    argv: ["bash", "-c", "(exec 3<>/dev/tcp/172.31.1.2/2379) 2>&1"],
    says: /Connection refused/,
  }),
  strike(
    "rate",
    { kbit: "1000" },
    /60000 bytes at once from n1 to 172\.31\.1\.12 and back were lost/,
  ),
  strike("rate", { kbit: "100000", direction: "in" }, /60000 bytes at once/),
  strike("duplicate", { percent: "40" }, /\d+ answers to 50 pings from n1 came once more/),
  strike("duplicate", { percent: "40", direction: "in" }, /\d+ answers to 50 pings from n1/),
  strike("delay", { ms: "50" }, /the quickest answer took 1\d\d(\.\d+)? ms/),
  strike("delay", { ms: "50", direction: "in" }, /the quickest answer took \d+/),
  strike("delay", { ms: "50", direction: "out" }, /the quickest answer took \d+/),
  strike("jitter", { ms: "30" }, /the quickest answer took \d+(\.\d+)? ms, the slowest \d+/),
  strike("reorder", { percent: "50" }, /\d+ answers came after later ones/),
  strike("corrupt", { percent: "40" }, /\d+ of 50 got lost/),
  strike("corrupt", { percent: "10", direction: "out" }, /\d+ of 200 got lost/),
  strike("pause-agent", {}, /process table has \d+ stopped/),
  strike("throttle-agent", {}, /\d+ of \d+ looks at the process table found \d+ stopped/),
  strike("read-only-run", {}, /in \/run of n1 could not be written: read-only file system/, {
    argv: [
      "env",
      "LC_ALL=C",
      "sh",
      "-c",
      "touch /run/flannel/trial 2>&1; rm -f /run/flannel/trial",
    ],
    says: /Read-only/,
  }),
  strike("kill-agent", {}, /process table of n1 has no \d+ any more/),
  strike("stop-agent", {}, /process table of n1 has no \d+ any more/),
  strike("restart-agent", {}, /process table of n1 has \d+, and no \d+ any more/),
  strike("restart-agent", { signal: "kill" }, /process table of n1 has \d+, and no \d+ any more/),
  strike("reboot-host", {}, /dump of n1 no tunnel and no route to a peer, \/run no subnet\.env/, {
    argv: ["sh", "-c", "ip -br link; ls /run"],
    says: /^(?![^]*flannel)/,
  }),
  strike("reboot-host", { run: "kept" }, /no route to a peer, \/run its subnet\.env/, {
    argv: ["sh", "-c", "ip -br link; ls /run"],
    says: /^(?![^]*flannel\.1)[^]*flannel\n/,
  }),
  strike("clock-jump", { by: "1h" }, /process \d+ has libfaketime, whose clock is 3(599|600) s ah/),
  strike("clock-jump", { by: "2h", towards: "past" }, /whose clock is -720[01] s ahead/),
  strike("clock-strobe", { by: "25h" }, /whose clock jumped \d+ times within a second/),
  strike(
    "long-uptime",
    { up: "2147478s" },
    /beside process \d+ the machine has been up for 24\.86 d/,
  ),
  strike("clock-drift", { pace: "150" }, /whose clock goes at 1[45]\d\.\d % of the monoto/),
  { request: { fault: "compact-store", parameters: {} }, saw: /etcd has no revision \d+ any more/ },
  { request: { fault: "pause-store", parameters: {} }, saw: /process table has \d+ stopped/ },
  { request: { fault: "stop-store", parameters: {} }, saw: /no \d+, and etcd does not answer/ },
  { request: { fault: "fill-store", parameters: {} }, saw: /refuses to write .* space exceeded/ },
  { request: { fault: "roll-back-store", parameters: {} }, saw: /which the backup has not/ },
  {
    request: { fault: "compact-often", parameters: { every: "20ms" } },
    saw: /forgot what was before revision \d+, and then before \d+/,
  },
  {
    request: { fault: "join-storm", parameters: { hosts: "2" } },
    saw: /the store has leases of n\d+, n\d+, and each has a pod/,
  },
  {
    request: { fault: "leave-storm", parameters: { hosts: "1" } },
    saw: /the store has no leases of n2$/,
  },
  {
    request: { fault: "rolling-restart", parameters: {} },
    saw: /the process table has \d+, \d+, and no \d+, \d+ any more/,
  },
  strike("swap-addresses", PEER, /dump of n1 shows 172\.31\.1\.12\/24, fd00:31:0:1::c\/64, and/, {
    argv: show("-br", "address", "show", "eth0"),
    says: /172\.31\.1\.12\/24/,
  }),
  strike("delete-lease", {}, /the store has (no|another) \/coreos/),
  strike("expire-lease", {}, /the store has (no|another) \/coreos/),
  strike("overwrite-lease", {}, /the store has another owner's lease under \/coreos/),
  strike("reserve-lease", {}, /the store has \/coreos.* without an etcd lease$/),
  ...Object.entries({
    name: /the store has \d+ bytes under .*\/not-a-subnet$/,
    address: /the store has \d+ bytes under .*\/10\.244\.300\.0-24$/,
    length: /the store has \d+ bytes under .*\/10\.244\.9\.0-33$/,
    text: /the store has 16 bytes under .*\/10\.244\.255\.0-24&fd00:10:244:ff::-64$/,
    empty: /the store has 0 bytes under /,
    null: /the store has 4 bytes under /,
    types: /the store has \d+ bytes under /,
    huge: /the store has 1000000 bytes under /,
  }).map(([poison, saw]): FaultCase => ({
    request: { fault: "poison-key", parameters: { poison } },
    saw,
  })),
  ...Object.entries({
    network: /the store has .*"Network":"10\.245\.0\.0\/16".* under \/coreos/,
    backend: /the store has .*"Type":"host-gw".* under \/coreos/,
    unreadable: /the store has \{ under \/coreos/,
    gone: /the store has nothing under \/coreos/,
  }).map(([config, saw]): FaultCase => ({
    request: { fault: "change-config", parameters: { config } },
    saw,
  })),
];

const strikeMember = (fault: string, saw: RegExp, parameters = {}): FaultCase => ({
  request: { fault, parameters },
  saw,
});

/** Those that want a store of several members. */
export const MEMBER_FAULT_CASES: readonly FaultCase[] = [
  strikeMember("stop-member", /table has no \d+, the etcd\d?, and etcd\d? has the leader \d/),
  strikeMember("stop-member", /table has no \d+, the etcd\d?, and/, { member: "follower" }),
  strikeMember("stop-member", /table has no \d+, the etcd3, and etcd2?/, { member: "3" }),
  strikeMember("pause-member", /table has \d+ stopped, the etcd\d?, and etcd\d? has the lead/),
  strikeMember("isolate-member", /etcd\d? says that it has no leader, and etcd\d? has the lead/),
  strikeMember("isolate-member", /no leader, and etcd\d? has the leader \d/, {
    member: "follower",
  }),
  strikeMember("change-leader", /etcd\d? has the leader \d+, who was \d+ \(etcd\d?\)/),
  strikeMember("lose-quorum", /table has no \d+, \d+, and etcd3 no leader/),
  strikeMember("stop-store", /table has no \d+, \d+, \d+, and etcd does not answer/),
  strikeMember("pause-store", /table has \d+, \d+, \d+ stopped/),
];

const NEEDS = [...FAULTS.values()].flatMap(({ needs }) => needs ?? []);
const FINDINGS = new Map(
  await Promise.all(
    [...new Set(NEEDS)].map(async (need) => [need, await examineFaultNeed(need)] as const),
  ),
);
/** Where `REQUIRE` is set nothing is taken for impossible but what few machines have. */
const RARE: readonly FaultNeed[] = ["faketime"];

function canDo(need: FaultNeed): boolean {
  const demanded = process.env["REQUIRE"] !== undefined && !RARE.includes(need);
  return demanded || FINDINGS.get(need)?.ok === true;
}

/** Whether this machine has what the fault needs. */
export function isPossible({ request }: FaultCase): boolean {
  const need = FAULTS.get(request.fault)?.needs;
  return need === undefined || canDo(need);
}

/** Skips with the reason; where `REQUIRE` is set nothing is skipped. */
export function whereFiltered(title: string, body: () => void): void {
  const can = canDo("packet-filter");
  const why = FINDINGS.get("packet-filter")?.detail;
  (can ? describe : describe.skip)(can ? title : `${title}: ${why}`, body);
}
