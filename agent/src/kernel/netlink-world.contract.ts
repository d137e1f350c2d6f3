/** The real kernel as the contract's world: a network namespace in which `ip` plays everybody else. */
import { execFileSync } from "node:child_process";
import { NetworkNamespace } from "linux";
import type { ContractWorld } from "./kernel-world.contract.ts";
import { NetlinkKernel } from "./netlink-kernel.ts";
import type { Sysctls } from "./netlink-sysctls.ts";

const READY_LIMIT_MS = 5_000;

/** Runs a command in a namespace. @throws Error with what it said */
export function runIn(path: string, command: string, ...argv: readonly string[]): string {
  return execFileSync("nsenter", [`--net=${path}`, command, ...argv], { encoding: "utf8" });
}

/** /proc/sys/net speaks for the namespace of whoever reads it, so a process in the namespace does. */
function sysctlsIn(path: string): Sysctls {
  const read = 'f=/proc/sys/$1; [ ! -e "$f" ] || cat "$f"';
  const write = 'f=/proc/sys/$1; [ -e "$f" ] || exit 2; printf %s "$2" >"$f"';
  return {
    async read(file) {
      const text = runIn(path, "sh", "-c", read, "sh", file);
      return text === "" ? undefined : text.trimEnd();
    },
    async write(file, value) {
      try {
        runIn(path, "sh", "-c", write, "sh", file, value);
      } catch (error) {
        throw Object.assign(new Error("no such sysctl", { cause: error }), { code: "ENOENT" });
      }
    },
  };
}

/** A network namespace of its own, which ends with the test. */
export class NamespaceWorld implements ContractWorld {
  readonly kernel: NetlinkKernel;
  readonly path: string;
  readonly #namespace: NetworkNamespace;

  constructor() {
    this.#namespace = NetworkNamespace.create();
    this.path = this.#namespace.path;
    this.kernel = NetlinkKernel.open({ namespace: this.path, sysctls: sysctlsIn(this.path) });
  }

  ip(...argv: readonly string[]): string {
    return runIn(this.path, "ip", ...argv);
  }

  async addInterface(
    ...[name, mtu, addresses]: Parameters<ContractWorld["addInterface"]>
  ): Promise<void> {
    const peer = `${name}-peer`;
    this.ip("link", "add", name, "mtu", String(mtu), "type", "veth", "peer", "name", peer);
    for (const link of [name, peer]) this.ip("link", "set", link, "up");
    for (const address of addresses) {
      if (!address.includes(":")) this.ip("address", "add", address, "dev", name);
      else {
        this.ip("address", "add", address, "dev", name, "nodad");
        // The kernel makes an IPv6 address its own in a worker of its own.
        const [ip = ""] = address.split("/");
        this.#waitFor(() =>
          this.ip("-6", "route", "show", "table", "local").includes(`local ${ip} `),
        );
      }
    }
  }

  /** Asks again until it is so. @throws Error when it takes longer than any machine needs */
  #waitFor(isSo: () => boolean): void {
    const deadline = performance.now() + READY_LIMIT_MS;
    while (!isSo())
      if (performance.now() > deadline)
        throw new Error(`the kernel is not ready after ${READY_LIMIT_MS} ms`);
  }

  async removeInterface(name: string): Promise<void> {
    this.ip("link", "delete", name);
  }

  async setUp(name: string, up: boolean): Promise<void> {
    this.ip("link", "set", name, up ? "up" : "down");
  }

  async setCarrier(name: string, carrier: boolean): Promise<void> {
    this.ip("link", "set", `${name}-peer`, carrier ? "up" : "down");
    // A worker of the kernel tells everybody. Source: net/core/link_watch.c linkwatch_do_dev.
    const [working, gone] = ["UP", "LOWERLAYERDOWN"];
    this.#waitFor(() => {
      const [link] = JSON.parse(this.ip("-j", "link", "show", name)) as [{ operstate: string }];
      return link.operstate === (carrier ? working : gone);
    });
    // Takes the lock under which it does so, hence comes after it.
    this.ip("link", "set", name, "up");
  }

  async addNexthop(...[nexthop]: Parameters<ContractWorld["addNexthop"]>): Promise<void> {
    const { id, link, gateway, onlink, protocol } = nexthop;
    const via = gateway === undefined ? [] : ["via", gateway];
    const way = [...via, "dev", link, ...(onlink ? ["onlink"] : [])];
    this.ip("nexthop", "add", "id", String(id), ...way, "proto", String(protocol));
  }

  async removeNexthop(id: number): Promise<void> {
    this.ip("nexthop", "delete", "id", String(id));
  }

  async removeAddress(
    ...[link, address]: Parameters<ContractWorld["removeAddress"]>
  ): Promise<void> {
    this.ip("address", "delete", address, "dev", link);
  }

  async appendRoute(...[route]: Parameters<ContractWorld["appendRoute"]>): Promise<void> {
    const { destination, gateway, link, onlink, protocol, nexthop } = route;
    const via = gateway === undefined ? [] : ["via", gateway];
    const way = nexthop === undefined ? [...via, "dev", link] : ["nhid", String(nexthop)];
    if (onlink && nexthop === undefined) way.push("onlink");
    this.ip("route", "append", destination, ...way, "proto", String(protocol));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kernel.close();
    this.#namespace.close();
  }
}
