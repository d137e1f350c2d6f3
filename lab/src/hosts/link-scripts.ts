import { type Cidr, addToAddress, formatAddress, formatCidr } from "../addresses.ts";
import type { SubnetFile } from "../subnet-file.ts";
import { type EndpointPlan, EXTERNAL_INTERFACE, type SegmentPlan } from "../topology.ts";

/**
 * Texts for `ip -batch` and sh(1). Each is run in the namespace its first line names.
 * One batch makes many objects, and scripts use what the shell can do by itself: a process per link, name and text would be the slowest part
 * of `lab up`.
 */

/** Name of the bridge that pods of a host hang on. Source: flannel CNI plugin, default bridge name. */
export const POD_BRIDGE = "cni0";
const POD_PORT = "pod0";
const POD_INTERFACE = "eth0";
/** The pod is the second address of its subnet; the bridge is the first. */
const POD_OFFSET = 1n;
/** What the MAC addresses of pods and their bridges begin with, before the last 32 bits of their IP. */
const POD_MAC_PREFIX = "0a:58";

/** A namespace that forwards, waits for no duplicate address detection and takes replies from any side. */
export const SYSCTL_SCRIPT = `
for family in ipv4 ipv6; do
  [ -d /proc/sys/net/$family/conf ] || continue
  for scope in all default; do
    echo 1 > /proc/sys/net/$family/conf/$scope/forwarding
  done
done
for scope in all default; do
  echo 0 > /proc/sys/net/ipv4/conf/$scope/rp_filter
  echo 0 > /proc/sys/net/ipv4/conf/$scope/send_redirects
  [ -d /proc/sys/net/ipv6/conf ] || continue
  echo 0 > /proc/sys/net/ipv6/conf/$scope/accept_dad
done
echo 1 > /proc/sys/net/ipv4/ip_forward
`;

/** Where flanneld keeps what outlives a reboot, on every host its own. */
export const STATE_DIRECTORY = "/var/lib/flannel";

/**
 * Where the machine has no directory for state, hosts could not be given theirs: /var/lib becomes a copy of itself, made of mounts, that
 * has one. Only in the mount namespace that it is run in, and those made from it.
 *
 * One mount(8) does all names that fstab(5) can have as they are. It must take paths as they are, too: what a descriptor leads to is called
 * /var/lib/NAME like the empty directory above it. Without the dot it would leave out what was a mount before.
 */
export const STATE_MOUNT_POINT_SCRIPT: string = `set -e
[ ! -d ${STATE_DIRECTORY} ] || exit 0
exec 9</var/lib
mount -t tmpfs -o mode=755 tmpfs /var/lib
cd /proc/self/fd/9/
table=/var/lib/.mounts
set --
for entry in * .[!.]* ..?*; do
  from=/proc/self/fd/9/$entry
  to=/var/lib/./$entry
  if [ -L "$entry" ]; then cp -P "$entry" "$to"; continue; fi
  if [ -d "$entry" ]; then set -- "$@" "$to"; elif [ -f "$entry" ]; then : > "$to"; else continue; fi
  case $entry in
    *[!a-zA-Z0-9._+@:-]*) [ -f "$to" ] || mkdir "$to"; mount -c --rbind "$from" "$to" ;;
    *) echo "$from $to none rbind" ;;
  esac
done > $table
mkdir -p "$@" ${STATE_DIRECTORY}
mount -a -c -T $table
rm $table
`;

/** Names a UTS namespace; in a user namespace only a system call may. */
const HOSTNAME_SCRIPT = `
name_host() {
  { echo "$1" > /proc/sys/kernel/hostname; } 2>/dev/null || hostname "$1"
}
`;

/**
 * Run as the first process of a host: name it, give it its own /run, /sys and link, say so, then do nothing for ever.
 * Arguments: host name, directory for /run, batch text, and for a node directory for its state.
 */
export const ANCHOR_SCRIPT: string = `set -e
${HOSTNAME_SCRIPT}
name_host "$1"
mount --bind "$2" /run
[ -z "$4" ] || mount --bind "$4" ${STATE_DIRECTORY}
mount -t sysfs -o ro sysfs /sys
${SYSCTL_SCRIPT}
ip -batch - <<END
$3
END
echo ready
exec sleep infinity </dev/null >/dev/null 2>&1
`;

/**
 * A kernel that was told of a path's MTU keeps to it for ten minutes, and while an MTU changes, a bridge that is about to be made anew says too
 * little. In a pod of a lab it is a second, so that what is measured is the path as it is. Older kernels have IPv4's for all namespaces together, and
 * no such file here. Source: Documentation/networking/ip-sysctl.rst, route/mtu_expires.
 */
const SHORT_MEMORY_SCRIPT = `
for file in /proc/sys/net/ipv4/route/mtu_expires /proc/sys/net/ipv6/route/mtu_expires; do
  [ ! -e $file ] || echo 1 > $file
done
`;

/**
 * Run as the first process of a pod. Arguments: host name, process of the host, batch text for the host, whose last word is to be the pod's
 * process, batch text for the pod.
 */
export const POD_ANCHOR_SCRIPT: string = `set -e
${HOSTNAME_SCRIPT}
name_host "$1-pod"
mount -t sysfs -o ro sysfs /sys
[ ! -d /proc/sys/net/ipv6/conf ] || echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
echo 0 0 > /proc/sys/net/ipv4/ping_group_range
${SHORT_MEMORY_SCRIPT}
nsenter --net="/proc/$2/ns/net" ip -batch - <<END
$3$$
END
ip -batch - <<END
$4
END
echo ready
exec sleep infinity </dev/null >/dev/null 2>&1
`;

/** In the supervisor's namespace: one bridge per segment with the router's addresses. */
export function switchBatch(segments: readonly SegmentPlan[]): string {
  return lines([
    "link set lo up",
    ...segments.flatMap(({ bridge, mac, addresses }) => [
      `link add ${bridge} address ${mac} type bridge`,
      ...addresses.map((address) => `address add ${address} dev ${bridge}${noDad(address)}`),
      `link set ${bridge} up`,
    ]),
  ]);
}

/** In the endpoint's namespace: its link, whose other end appears in the supervisor's (PID 1's) namespace. */
export function endpointBatch(endpoint: EndpointPlan): string {
  return lines([
    "link set lo up",
    `link add ${EXTERNAL_INTERFACE} address ${endpoint.mac} type veth peer name ${endpoint.name} netns 1`,
    ...endpoint.addresses.map(({ address, prefixLength }) => {
      const cidr = `${address}/${prefixLength}`;
      return `address add ${cidr} dev ${EXTERNAL_INTERFACE}${noDad(cidr)}`;
    }),
    `link set ${EXTERNAL_INTERFACE} up`,
    ...endpoint.addresses.map(
      ({ router }) => `route add default via ${router} dev ${EXTERNAL_INTERFACE}`,
    ),
  ]);
}

/** In the supervisor's namespace: plug in what `endpointBatch` made. */
export function plugBatch(endpoints: readonly EndpointPlan[]): string {
  return lines(endpoints.map(({ name, bridge }) => `link set ${name} master ${bridge} up`));
}

/** In the supervisor's namespace: takes a host's port away at once; the kernel would do it some time after the host. */
export function unplugBatch(endpoint: EndpointPlan): string {
  return lines([`link delete ${endpoint.name}`]);
}

/**
 * In the host's namespace: the pods' bridge, which owns the first address of each leased subnet, and a port, whose other end appears in the
 * namespace of a process that is still to be written behind. Bridge and pod know each other for good: Linux has one ARP table of 1,024
 * entries for all namespaces, permanent ones do not count, and it is the hosts that need it.
 */
export function podBridgeBatch(file: SubnetFile): string {
  const { mtu } = file;
  const bridge = lines([
    `link add ${POD_BRIDGE} address ${macOf(file.gateways)} type bridge`,
    `link set ${POD_BRIDGE} mtu ${mtu}`,
    ...file.gateways.map(
      (gateway) =>
        `address add ${formatCidr(gateway)} dev ${POD_BRIDGE}${noDad(formatCidr(gateway))}`,
    ),
    `link set ${POD_BRIDGE} up`,
    ...knowing(podAddresses(file), POD_BRIDGE),
  ]);
  const port = `link add ${POD_PORT} mtu ${mtu} master ${POD_BRIDGE} up`;
  const peer = `${POD_INTERFACE} address ${macOf(podAddresses(file))}`;
  return `${bridge}${port} type veth peer name ${peer} mtu ${mtu} netns `;
}

/** In the pod's namespace: the link that `podBridgeBatch` made. */
export function podBatch(file: SubnetFile): string {
  return lines([
    "link set lo up",
    ...podAddresses(file).map(
      (address) =>
        `address add ${formatCidr(address)} dev ${POD_INTERFACE}${noDad(formatCidr(address))}`,
    ),
    `link set ${POD_INTERFACE} up`,
    ...file.gateways.map(
      ({ address }) => `route add default via ${formatAddress(address)} dev ${POD_INTERFACE}`,
    ),
    ...knowing(file.gateways, POD_INTERFACE),
  ]);
}

/** In the host's namespace: what `podBridgeBatch` made. */
export function podUnplugBatch(): string {
  return lines([`link delete ${POD_PORT}`, `link delete ${POD_BRIDGE}`]);
}

/** The pod's address in each leased subnet. */
export function podAddresses(file: SubnetFile): Cidr[] {
  return file.gateways.map(({ address, prefixLength }) => ({
    address: addToAddress(address, POD_OFFSET),
    prefixLength,
  }));
}

/** The MAC address of whoever has these addresses: of the first of them, so that packets on a bridge can be told apart. */
function macOf([first]: readonly Cidr[]): string {
  const value = first?.address.value ?? 0n;
  const octets = [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn);
  return [POD_MAC_PREFIX, ...octets.map((octet) => octet.toString(16).padStart(2, "0"))].join(":");
}

/** All of one neighbour, which has one MAC address. */
function knowing(addresses: readonly Cidr[], device: string): readonly string[] {
  return addresses.map(
    ({ address }) =>
      `neighbour add ${formatAddress(address)} lladdr ${macOf(addresses)} dev ${device} nud permanent`,
  );
}

function noDad(address: string): string {
  return address.includes(":") ? " nodad" : "";
}

function lines(commands: readonly string[]): string {
  return commands.map((command) => `${command}\n`).join("");
}
