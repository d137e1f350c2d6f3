/**
 * A node, its pods and what is around it, in network namespaces, with a process in each that sends and receives:
 *
 *   pod1 ─┐                       ┌─ eth0 ──────── outside
 *         ├─ cni0 ─── node ───────┤
 *   pod2 ─┘            │          └─ flannel.1 ─── remote (a pod of another node, and its node)
 *   container ─ docker0┘
 */
import { spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { createInterface } from "node:readline";
import { NetworkNamespace } from "linux";
import type { Family } from "../core/ip.ts";
import { runIn } from "../kernel/netlink-world.contract.ts";

/** What runs in a namespace: reads commands as lines of JSON, writes what happened as lines of JSON. */
const AGENT = `
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
const tell = (what) => process.stdout.write(JSON.stringify(what) + "\\n");
const heard = (data, { address, port }) => tell({ heard: String(data), from: address, port });
const acts = {
  listen({ type, port, group, link }) {
    const socket = createSocket({ type, reuseAddr: true });
    socket.on("message", heard);
    socket.bind(port, () => {
      if (group !== undefined) socket.addMembership(group, link);
      tell({ done: "listen" });
    });
  },
  send({ type, from, to, port, text, link }) {
    const socket = createSocket(type);
    socket.bind({ address: from }, () => {
      if (link !== undefined) socket.setMulticastInterface(link);
      const bound = socket.address().port;
      socket.send(text, port, to, (error) => {
        socket.close();
        tell({ done: "send", port: bound, error: error?.code });
      });
    });
  },
  serve({ port }) {
    createServer((socket) => {
      const from = { address: socket.remoteAddress, port: socket.remotePort };
      socket.on("data", (data) => heard(data, from));
    }).listen(port, () => tell({ done: "serve" }));
  },
  connect({ to, port }) {
    acts.socket = connect(port, to, () => tell({ done: "connect" }));
  },
  say({ text }) {
    acts.socket.write(text, () => tell({ done: "say" }));
  },
};
createInterface({ input: process.stdin }).on("line", (line) => {
  const { act, ...words } = JSON.parse(line);
  acts[act](words);
});
tell({ done: "start" });
`;

export interface Heard {
  readonly heard: string;
  readonly from: string;
  readonly port: number;
}

interface Done {
  readonly done: string;
  readonly port?: number;
  readonly error?: string;
}

/** How long anything may take that is not lost. */
const PATIENCE_MS = 10_000;

/** A process in a namespace. */
export class Peer {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #heard: Heard[] = [];

  constructor(path: string) {
    const node = [process.execPath, "--input-type=module", "--eval", AGENT];
    this.#child = spawn("nsenter", [`--net=${path}`, ...node]);
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** @throws Error when it did not happen in time */
  async act(act: string, words: Readonly<Record<string, unknown>> = {}): Promise<Done> {
    if (act !== "start") this.#child.stdin.write(`${JSON.stringify({ act, ...words })}\n`);
    for (;;) {
      const line = await this.#next(act);
      if ("done" in line) {
        if (line.error !== undefined) throw new Error(`${act}: ${line.error}`);
        return line;
      }
      this.#heard.push(line);
    }
  }

  /** The next that arrives. @throws Error when nothing does in time */
  async hear(): Promise<Heard> {
    const before = this.#heard.shift();
    if (before !== undefined) return before;
    const line = await this.#next("hear");
    if (!("heard" in line)) throw new Error(`not a packet: ${JSON.stringify(line)}`);
    return line;
  }

  close(): void {
    this.#child.kill();
  }

  async #next(what: string): Promise<Heard | Done> {
    const limit = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => limit.reject(new Error(`${what}: nothing in ${PATIENCE_MS} ms`)),
      PATIENCE_MS,
    );
    try {
      const { value, done } = await Promise.race([this.#lines.next(), limit.promise]);
      if (done === true) throw new Error(`${what}: the process ended`);
      return JSON.parse(value) as Heard | Done;
    } finally {
      clearTimeout(timer);
    }
  }
}

const PLACES = ["pod1", "pod2", "container", "outside", "remote"] as const;
export type Place = "node" | (typeof PLACES)[number];

export interface Addresses {
  readonly pod1: string;
  readonly pod2: string;
  readonly container: string;
  readonly outside: string;
  readonly remote: string;
  /** The node's on the bridge of the pods, on the external interface, on the tunnel. */
  readonly bridge: string;
  readonly external: string;
  readonly tunnel: string;
}

export const ADDRESSES: Readonly<Record<Family, Addresses>> = {
  4: {
    pod1: "10.42.1.2",
    pod2: "10.42.1.3",
    container: "172.17.0.2",
    outside: "192.0.2.100",
    remote: "10.42.2.2",
    bridge: "10.42.1.1",
    external: "192.0.2.1",
    tunnel: "10.42.1.0",
  },
  6: {
    pod1: "fd00:42:0:1::2",
    pod2: "fd00:42:0:1::3",
    container: "2001:db8:17::2",
    outside: "2001:db8:1::100",
    remote: "fd00:42:0:2::2",
    bridge: "fd00:42:0:1::1",
    external: "2001:db8:1::1",
    tunnel: "fd00:42:0:1::",
  },
};

/** Addresses of a link in both families; IPv6 ones count at once. */
function addresses(link: string, ...list: readonly string[]): string {
  return list
    .map((one) => `ip address add ${one} dev ${link}${one.includes(":") ? " nodad" : ""}`)
    .join("\n");
}

const UP = "ip link set lo up; ip link set eth0 up";

/** What each place runs in itself, once it has its `eth0`. */
const SET_UP: Readonly<Record<Place, string>> = {
  node: `
    ip link set lo up
    for l in cni0 docker0; do ip link add $l type bridge; ip link set $l up; done
    for l in pod1 pod2; do ip link set $l master cni0; done
    ip link set container master docker0
    ip link set outside name eth0
    ip link set remote name flannel.1
    for l in pod1 pod2 container eth0 flannel.1; do ip link set $l up; done
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    ${addresses("cni0", "10.42.1.1/24", "fd00:42:0:1::1/64")}
    ${addresses("docker0", "172.17.0.1/16", "2001:db8:17::1/64")}
    ${addresses("eth0", "192.0.2.1/24", "2001:db8:1::1/64")}
    ${addresses("flannel.1", "10.42.1.0/32", "fd00:42:0:1::/128")}
    ip route add 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink
    ip route add fd00:42:0:2::/64 via fd00:42:0:2:: dev flannel.1 onlink`,
  pod1: `${UP}
    ${addresses("eth0", "10.42.1.2/24", "fd00:42:0:1::2/64")}
    ip route add default via 10.42.1.1; ip route add default via fd00:42:0:1::1`,
  pod2: `${UP}
    ${addresses("eth0", "10.42.1.3/24", "fd00:42:0:1::3/64")}
    ip route add default via 10.42.1.1; ip route add default via fd00:42:0:1::1`,
  container: `${UP}
    ${addresses("eth0", "172.17.0.2/16", "2001:db8:17::2/64")}
    ip route add default via 172.17.0.1; ip route add default via 2001:db8:17::1`,
  outside: `${UP}
    ${addresses("eth0", "192.0.2.100/24", "2001:db8:1::100/64")}
    ip route add default via 192.0.2.1; ip route add default via 2001:db8:1::1`,
  remote: `${UP}
    ${addresses("eth0", "10.42.2.0/32", "fd00:42:0:2::/128")}
    ${addresses("lo", "10.42.2.2/32", "fd00:42:0:2::2/128")}
    ip route add default via 10.42.1.0 dev eth0 onlink
    ip route add default via fd00:42:0:1:: dev eth0 onlink`,
};

export class PacketWorld implements AsyncDisposable {
  readonly node: string;
  readonly #namespaces: readonly NetworkNamespace[];
  readonly #peers: ReadonlyMap<Place, Peer>;

  /** @param node path of the node's namespace, empty as yet */
  constructor(node: string) {
    this.node = node;
    const around = PLACES.map((place) => [place, NetworkNamespace.create()] as const);
    this.#namespaces = around.map(([, namespace]) => namespace);
    for (const [place, { path }] of around) {
      const far = ["peer", "name", "eth0", "netns", path];
      runIn(node, "ip", "link", "add", place, "type", "veth", ...far);
    }
    const paths = new Map<Place, string>([["node", node]]);
    for (const [place, { path }] of around) paths.set(place, path);
    for (const [place, path] of paths) runIn(path, "sh", "-ec", SET_UP[place]);
    this.#peers = new Map([...paths].map(([place, path]) => [place, new Peer(path)]));
  }

  async start(): Promise<void> {
    for (const place of PLACES) {
      const peer = this.at(place);
      await peer.act("start");
      for (const type of ["udp4", "udp6"])
        for (const port of PORTS) await peer.act("listen", { type, port });
    }
    await this.at("node").act("start");
    const outside = this.at("outside");
    const port = MULTICAST_PORT;
    await outside.act("listen", { type: "udp4", port, group: MULTICAST[4], link: "192.0.2.100" });
    await outside.act("listen", { type: "udp6", port, group: MULTICAST[6], link: "::%eth0" });
  }

  at(place: Place): Peer {
    const peer = this.#peers.get(place);
    if (peer === undefined) throw new Error(`nobody at ${place}`);
    return peer;
  }

  /** Sends one packet, and says what source the receiver sees. */
  async seen(packet: Packet): Promise<string> {
    const { at, to, place, family, from, port = PLAIN_PORT } = packet;
    const type = family === 4 ? "udp4" : "udp6";
    const text = JSON.stringify(packet);
    const link = to.startsWith("ff") ? "::%eth0" : to.startsWith("239.") ? "192.0.2.1" : undefined;
    const sent = await this.at(at).act("send", { type, from, to, port, text, link });
    const { heard, from: source, port: sourcePort } = await this.at(place).hear();
    if (heard !== text) throw new Error(`another packet: ${heard}`);
    if (source === from && sourcePort !== sent.port) return `${source}, port changed`;
    return source;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers.values()) peer.close();
    for (const namespace of this.#namespaces) namespace.close();
  }
}

export interface Packet {
  readonly family: Family;
  readonly at: Place;
  /** Source address, of the sender's own. */
  readonly from: string;
  readonly to: string;
  /** Who is to hear it. */
  readonly place: Place;
  readonly port?: number;
}

const PLAIN_PORT = 7000;
/** Packets to these are marked by the node as kube-proxy does, alone and beside another bit. */
export const MARKED_PORTS: { readonly alone: number; readonly among: number } = {
  alone: 7001,
  among: 7002,
} as const;
const PORTS = [PLAIN_PORT, MARKED_PORTS.alone, MARKED_PORTS.among];
export const MULTICAST_PORT = 7003;
export const MULTICAST: Readonly<Record<Family, string>> = { 4: "239.1.1.1", 6: "ff05::1:3" };

export const MARKS: string = `
table inet marks {
  chain prerouting {
    type filter hook prerouting priority mangle;
    udp dport ${MARKED_PORTS.alone} meta mark set 0x4000
    udp dport ${MARKED_PORTS.among} meta mark set 0x4001
  }
}
`;
