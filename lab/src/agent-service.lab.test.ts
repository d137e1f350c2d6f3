/** The agent under a service manager, and beside another agent; on a real host, with a real store. */
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ExecResult, Lab } from "./lab.ts";
import { type LaunchedLab, launchLab } from "./launch.ts";
import { labOptions } from "./options.ts";
import { defaultFlanneld } from "./own-agent.ts";
import { labsDirectory, ownProcessId, workingDirectory } from "./system/machine.ts";

const PREFIX = "/coreos.com/network/subnets/";
const ETCD = "--etcd-endpoints=http://172.31.1.2:2379";
/** In the host's own /run, and in its own network namespace. */
const HEARD = "/run/heard";
const SOCKET = "@notify";

/** Prints what a service manager would be told, a line each, until the agent says that it stops. */
const LISTENER = `
  use Socket;
  socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die;
  (my $name = $ARGV[0]) =~ s/^@/\\0/;
  bind($socket, pack_sockaddr_un($name)) or die "bind: $!";
  $| = 1;
  print "listening\\n";
  while (1) {
    recv($socket, my $text, 8192, 0);
    my $last = $text =~ /STOPPING/;
    $text =~ s/\\n/ /g;
    print "$text\\n";
    last if $last;
  }
`;
/** Starts the listener and then the agent; ends when both have. */
const SERVICE = `perl -e "$LISTENER" "$NOTIFY_SOCKET" > "$HEARD" & listener=$!
until grep -qs listening "$HEARD"; do sleep 0.05; done
"$@" & echo $! > /run/service.pid; wait $!; code=$?; wait $listener; exit $code`;

/** Runs an agent until it is ready or has ended, and interrupts it; its lines are our errors. */
const UNTIL_READY = `"$@" 2>/run/agent.log & pid=$!
until grep -qs "flannel is ready" /run/agent.log || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
kill -INT $pid; wait $pid; code=$?; cat /run/agent.log >&2; rm /run/agent.log; exit $code`;

requires("lab", "vxlan")("an agent that is looked after", () => {
  let launched: LaunchedLab;
  let lab: Lab;

  beforeAll(async () => {
    const name = `service-${ownProcessId()}`;
    launched = await launchLab(
      labOptions(
        { name, nodes: 2 },
        { flanneld: defaultFlanneld(), workingDirectory: workingDirectory() },
      ),
      join(labsDirectory(), name),
    );
    ({ lab } = launched);
  });
  afterAll(() => launched.down());

  async function shell(host: string, script: string): Promise<ExecResult> {
    return lab.exec({ host, argv: ["sh", "-c", script], timeoutMs: 20_000 });
  }

  test("E3: a second agent is refused with one line, and harms the first in nothing", async () => {
    const before = await lab.readStore({ prefix: PREFIX });
    const result = await lab.exec({ host: "n2", argv: [...defaultFlanneld(), ETCD] });
    expect(result.exitCode).toBe(1);
    const [line = "", ...more] = result.stderr
      .trim()
      .split("\n")
      .filter((one) => !one.includes('"level":"info"'));
    expect(more).toEqual([]);
    const [, pid] =
      /another flanneld, process (\d+), already serves \/run\/flannel/.exec(line) ?? [];
    expect(await lab.readStore({ prefix: PREFIX })).toEqual(before);
    // The process it named is the agent that holds the device.
    const command = await shell("n2", `tr '\\0' ' ' < /proc/${pid}/cmdline`);
    expect(command.stdout).toContain("--etcd-endpoints");
  });

  test("systemd hears when it is ready, when it is not any more, and when it stops", async () => {
    await lab.killAgent({ host: "n1", signal: "SIGTERM" });
    const environment = [`LISTENER=${LISTENER}`, `NOTIFY_SOCKET=${SOCKET}`, `HEARD=${HEARD}`];
    const service = lab.exec({
      host: "n1",
      argv: [
        "env",
        ...environment,
        "WATCHDOG_USEC=400000",
        "sh",
        "-c",
        SERVICE,
        "sh",
        ...defaultFlanneld(),
        ETCD,
      ],
      timeoutMs: 60_000,
    });
    const hears = (count: number, words: string): Promise<ExecResult> =>
      shell(
        "n1",
        `until [ "$(grep -cs "${words}" ${HEARD})" -ge ${count} ]; do sleep 0.05; done; ls /run/flannel/subnet.env`,
      );
    expect((await hears(1, "^READY=1 STATUS=ready$")).exitCode).toBe(0);
    const { entries } = await lab.readStore({ prefix: PREFIX });
    for (const { key, value } of entries)
      if (value.includes("172.31.1.11")) await lab.removeFromStore({ key });
    expect(
      (await hears(1, "^STATUS=not ready: the store has the lease of this node no more$")).exitCode,
    ).toBe(0);
    expect((await hears(2, "^READY=1 STATUS=ready$")).exitCode).toBe(0);
    expect((await hears(3, "^WATCHDOG=1$")).exitCode).toBe(0);
    await shell("n1", "kill -TERM $(cat /run/service.pid)");
    expect((await service).exitCode).toBe(0);
    const { stdout } = await shell("n1", `grep -v WATCHDOG ${HEARD}`);
    expect(stdout.split("\n")).toEqual([
      "listening",
      "STATUS=starting",
      "READY=1 STATUS=ready",
      "STATUS=not ready: the store has the lease of this node no more",
      "READY=1 STATUS=ready",
      "STOPPING=1 STATUS=stopping",
      "",
    ]);
  });

  describe("options of the interface, on a host with a second one", () => {
    beforeAll(async () => {
      await lab.killAgent({ host: "n2", signal: "SIGTERM" });
      const second = "ip link add second type bridge && ip link set second up";
      await shell("n2", `${second} && ip address add 198.51.100.7/24 dev second`);
    });
    afterAll(() => shell("n2", "ip link delete second"));
    const OTHER = "172.31.1.11";
    const leases = async (): Promise<readonly { key: string; publicIp: string }[]> =>
      (await lab.readStore({ prefix: PREFIX })).entries
        .map(({ key, value }) => ({
          key,
          publicIp: (JSON.parse(value) as { PublicIP: string }).PublicIP,
        }))
        .filter(({ publicIp }) => publicIp !== OTHER);
    // Another interface is another underlay: the device is made anew, and another lease taken.
    beforeEach(async () => {
      await shell("n2", "ip link delete flannel.1");
      for (const { key } of await leases()) await lab.removeFromStore({ key });
    });

    test.each<[string, string[], Record<string, string>, string, string]>([
      ["none", [], {}, "eth0", "172.31.1.12"],
      ["a name", ["--iface=second"], {}, "second", "198.51.100.7"],
      ["its variable", [], { FLANNELD_IFACE: "second" }, "second", "198.51.100.7"],
      ["an address", ["-iface", "198.51.100.7"], {}, "second", "198.51.100.7"],
      ["the first that fits", ["-iface=eth9", "-iface=eth0"], {}, "eth0", "172.31.1.12"],
      [
        "addresses by expression",
        [String.raw`-iface-regex=^198\.51\.`],
        {},
        "second",
        "198.51.100.7",
      ],
      ["names by expression", ["-iface-regex=^sec"], {}, "second", "198.51.100.7"],
      ["a way", ["-iface-can-reach=198.51.100.99"], {}, "second", "198.51.100.7"],
      ["a way of the default route", ["-iface-can-reach=172.31.1.2"], {}, "eth0", "172.31.1.12"],
      ["an own public address", ["-public-ip=198.51.100.7"], {}, "second", "198.51.100.7"],
      ["NAT", ["-iface=eth0", "-public-ip=203.0.113.7"], {}, "eth0", "203.0.113.7"],
    ])("%s", async (_, flags, environment, name, publicIp) => {
      const variables = Object.entries(environment).map(([one, value]) => `${one}=${value}`);
      const program = [...defaultFlanneld(), ETCD, ...flags];
      const result = await lab.exec({
        host: "n2",
        argv: ["env", ...variables, "sh", "-c", UNTIL_READY, "sh", ...program],
        timeoutMs: 20_000,
      });
      expect(result.stderr).toContain(`Using interface with name ${name} and address `);
      expect(result.exitCode).toBe(0);
      expect((await leases()).map((lease) => lease.publicIp)).toEqual([publicIp]);
    });
  });
});
