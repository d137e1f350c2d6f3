/**
 * Every flag, once. The parser, the environment variables, `--help` and docs/flags.md all come from it.
 * Names, types and defaults of the reference's flags are the reference's. Source: spec 01 section 1.2.
 */
import type { FlagType } from "./go-flags.ts";

export interface FlagRow {
  readonly name: string;
  readonly type: FlagType;
  /** As text, the way it would be given; a list starts empty. */
  readonly fallback: string;
  readonly help: string;
  /** The least and the greatest integer that is taken. */
  readonly range?: readonly [number, number];
  /** Any other word is refused. */
  readonly choices?: readonly string[];
  /** What does not match is refused. */
  readonly pattern?: { readonly expression: RegExp; readonly expected: string };
  /** Why the flag is refused where another value than the default is asked for, and what to do instead. */
  readonly missing?: string;
  /** Its value is shown to nobody. */
  readonly secret?: true;
  /** Has no variable: it is read before those are. */
  readonly onlyFlag?: true;
  /** Not among the reference's flags. */
  readonly ours?: true;
}

const NEEDS_KUBERNETES =
  "it only counts beside -kube-subnet-mgr, and this agent keeps leases in etcd alone: leave it out";

const ETCD_FLAGS: readonly FlagRow[] = [
  {
    name: "etcd-endpoints",
    type: "string",
    fallback: "http://127.0.0.1:4001,http://127.0.0.1:2379",
    help: "comma-separated list of etcd endpoints, http://host:port or https://host:port",
  },
  { name: "etcd-prefix", type: "string", fallback: "/coreos.com/network", help: "etcd key prefix" },
  {
    name: "etcd-keyfile",
    type: "string",
    fallback: "",
    help: "PEM file with the key of this node for etcd; read again when it changes",
  },
  {
    name: "etcd-certfile",
    type: "string",
    fallback: "",
    help: "PEM file with the certificate of this node for etcd; read again when it changes",
  },
  {
    name: "etcd-cafile",
    type: "string",
    fallback: "",
    help: "PEM file with the authorities that etcd's certificate is checked against, instead of the system's; alone or with the two above",
  },
  { name: "etcd-username", type: "string", fallback: "", help: "user for etcd" },
  {
    name: "etcd-password",
    type: "string",
    fallback: "",
    secret: true,
    help: "password of that user; better given as FLANNELD_ETCD_PASSWORD, which no process list shows",
  },
];

const INTERFACE_FLAGS: readonly FlagRow[] = [
  {
    name: "iface",
    type: "list",
    fallback: "",
    help: "interface name or local IP address that peers reach this node through; may be repeated, the first that fits wins",
  },
  {
    name: "iface-regex",
    type: "list",
    fallback: "",
    help: "regular expression for the interface, tried on addresses first and then on names; may be repeated",
  },
  {
    name: "iface-can-reach",
    type: "string",
    fallback: "",
    help: "IP address: use the interface that the kernel routes to it through",
  },
  {
    name: "public-ip",
    type: "string",
    fallback: "",
    help: "IPv4 address that peers send to; one that is not this node's own, as behind NAT, needs -iface as well",
  },
  {
    name: "public-ipv6",
    type: "string",
    fallback: "",
    help: "IPv6 address that peers send to, as above",
  },
];

const NODE_FLAGS: readonly FlagRow[] = [
  {
    name: "subnet-file",
    type: "string",
    fallback: "/run/flannel/subnet.env",
    help: "file where the leased subnet and the MTU are written for others to read; each agent of a machine needs one of its own",
  },
  {
    name: "subnet-lease-renew-margin",
    type: "integer",
    fallback: "60",
    range: [1, 1439],
    help: "minutes before the end of the lease at which it is renewed, 1 to 1439",
  },
  {
    name: "ip-masq",
    type: "boolean",
    fallback: "false",
    help: "masquerade what pods send to the outside",
  },
  {
    name: "ip-masq-fully-random-disable",
    type: "boolean",
    fallback: "false",
    help: "do not draw the source ports of masqueraded connections at random",
  },
  {
    name: "iptables-resync",
    type: "integer",
    fallback: "5",
    range: [1, 86_400],
    help: "seconds from one look at the rules of the firewall to the next, 1 to 86400; at least 10 are between them where the kernel tells of changes",
  },
  {
    name: "iptables-forward-rules",
    type: "boolean",
    fallback: "true",
    help: "let packets from and to pods through the firewall",
  },
  {
    name: "ip-blackhole-route",
    type: "boolean",
    fallback: "false",
    help: "drop what is sent to addresses of the leased subnet that no pod has, by a blackhole route behind all other routes to it",
  },
  {
    name: "healthz-ip",
    type: "string",
    fallback: "0.0.0.0",
    help: "address of the health server",
  },
  {
    name: "healthz-port",
    type: "integer",
    fallback: "0",
    range: [Number.MIN_SAFE_INTEGER, 65_535],
    help: "port of the health server, 0 or less for none",
  },
];

const KUBERNETES_FLAGS: readonly FlagRow[] = [
  {
    name: "kube-subnet-mgr",
    type: "boolean",
    fallback: "false",
    missing:
      "this agent keeps leases in etcd alone: leave it out and give -etcd-endpoints, or stay with flannel's own flanneld on this cluster",
    help: "keep leases in the Kubernetes API instead of etcd",
  },
  {
    name: "kube-api-url",
    type: "string",
    fallback: "",
    missing: NEEDS_KUBERNETES,
    secret: true,
    help: "URL of the Kubernetes API server, in place of the kubeconfig's",
  },
  {
    name: "kube-annotation-prefix",
    type: "string",
    fallback: "flannel.alpha.coreos.com",
    missing: NEEDS_KUBERNETES,
    help: "what the names of our node annotations begin with",
  },
  {
    name: "kubeconfig-file",
    type: "string",
    fallback: "",
    missing: NEEDS_KUBERNETES,
    help: "kubeconfig file",
  },
  {
    name: "net-config-path",
    type: "string",
    fallback: "/etc/kube-flannel/net-conf.json",
    missing: NEEDS_KUBERNETES,
    help: "file with the network config, in Kubernetes mode; with etcd it is the key config below the prefix",
  },
  {
    name: "set-node-network-unavailable",
    type: "boolean",
    fallback: "true",
    help: "clear the NetworkUnavailable condition of the node, in Kubernetes mode; with etcd there is no node object, and either value changes nothing",
  },
];

const PROGRAM_FLAGS: readonly FlagRow[] = [
  {
    name: "v",
    type: "integer",
    fallback: "0",
    // Source: klog's Level, an int32.
    range: [-2_147_483_648, 2_147_483_647],
    help: "log verbosity: 1 and more show every call",
  },
  {
    name: "vmodule",
    type: "string",
    fallback: "",
    pattern: {
      // Source: klog's moduleSpec.Set.
      expression: /^(?:(?:[^=,]+=\d{1,9})?(?:,|$))*$/,
      expected: "pattern=N, comma-separated, N from 0 on",
    },
    help: "log verbosity of single source files, pattern=N,...: read and then left alone, because it names files of flannel; -v=1 shows every call",
  },
  {
    name: "log_backtrace_at",
    type: "string",
    fallback: "",
    pattern: {
      // Source: klog's traceLocation.Set.
      expression: /^(?:[^:]*\.[^:]*:0*[1-9]\d{0,8})?$/,
      expected: "file.go:N, N from 1 on",
    },
    help: "source line at which a stack trace is logged, file.go:N: read and then left alone, because it names a file of flannel",
  },
  {
    name: "version",
    type: "boolean",
    fallback: "false",
    onlyFlag: true,
    help: "print the version and exit",
  },
  {
    name: "readyz-once",
    type: "boolean",
    fallback: "false",
    help: "/readyz stays 200 once the agent was ready, as flannel's does, instead of saying what is true",
    ours: true,
  },
  {
    name: "status-socket",
    type: "string",
    fallback: "",
    help: "unix socket for flanneld status, check and cleanup; none for none; without a value flanneld.sock beside the subnet file",
    ours: true,
  },
  {
    name: "state-dir",
    type: "string",
    fallback: "/var/lib/flannel",
    help: "directory of the state file, with which a node starts while the store is down; none for none. One that outlives a reboot",
    ours: true,
  },
  {
    name: "log-format",
    type: "string",
    fallback: "auto",
    choices: ["auto", "json", "text"],
    help: "json, text, or auto: text on a terminal and json elsewhere",
    ours: true,
  },
];

/** In the order of `--help`. */
export const FLAGS: readonly FlagRow[] = [
  ...ETCD_FLAGS,
  ...INTERFACE_FLAGS,
  ...NODE_FLAGS,
  ...KUBERNETES_FLAGS,
  ...PROGRAM_FLAGS,
];

/** What of spec 01 section 1.4 is read, and what each of the others would be for. */
export const OTHER_VARIABLES: readonly { readonly name: string; readonly help: string }[] = [
  {
    name: "NOTIFY_SOCKET",
    help: "socket of the service manager, told `READY=1`, `STATUS=…`, `WATCHDOG=1` and `STOPPING=1`; a leading `@` names an abstract one",
  },
  {
    name: "WATCHDOG_USEC`, `WATCHDOG_PID",
    help: "from systemd's `WatchdogSec=`: the agent says every half of it that it is alive. Not in flannel",
  },
  {
    name: "NODE_COMPILE_CACHE",
    help: "directory for compiled code, with which a later start takes less processor time. Not in flannel",
  },
  { name: "PATH", help: "where `iptables`, `ip6tables` and `nft` are looked for" },
  {
    name: "TMPDIR",
    help: "not used: `subnet.env` is written beside its target, so that the rename is always atomic",
  },
  {
    name: "ETCD_CLIENT_DEBUG",
    help: "not used: no library with a log of its own speaks to etcd",
  },
  {
    name: "NODE_NAME`, `POD_NAME`, `POD_NAMESPACE`, `EVENT_QUEUE_DEPTH`, `CONT_WHEN_CACHE_NOT_READY`, `KUBERNETES_SERVICE_HOST`, `KUBERNETES_SERVICE_PORT",
    help: "not used: of the Kubernetes mode, which this agent has not",
  },
  {
    name: "WIREGUARD_KEY_FILE`, `ACCESS_KEY_ID`, `ACCESS_KEY_SECRET",
    help: "not used: of the backends wireguard and tencent-vpc, which this agent has not",
  },
];
