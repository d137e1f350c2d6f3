/** A namespace with links in it, for tests against the kernel. */
import { addAddress } from "../address.ts";
import { type Link, addLink } from "../link.ts";
import { NetworkNamespace } from "../namespaces.ts";
import type { Request } from "../request.ts";
import { RouteSocket } from "../route-socket.ts";

/** Runs requests that must all succeed. @throws NetlinkError the first refusal */
export async function must(socket: RouteSocket, ...requests: readonly Request[]): Promise<void> {
  for (const refusal of await socket.execute(requests)) {
    if (refusal !== undefined) throw refusal;
  }
}

/** A link that must be there. */
export async function linkNamed(socket: RouteSocket, name: string): Promise<Link> {
  const link = await socket.link({ name });
  if (link === undefined) throw new Error(`no link ${name}`);
  return link;
}

/**
 * A namespace with `u0`, an Ethernet link with 192.0.2.1/24 and 2001:db8::1/64, and `flannel.1`, a
 * vxlan link over it; both up.
 */
export class Fixture {
  readonly namespace: NetworkNamespace;
  readonly socket: RouteSocket;
  #underlay: number | undefined;
  #device: number | undefined;

  constructor() {
    this.namespace = NetworkNamespace.create();
    this.socket = RouteSocket.open({ namespace: this.namespace.path });
  }

  /** Index of `u0`. */
  get underlay(): number {
    if (this.#underlay === undefined) throw new Error("the fixture has no links yet");
    return this.#underlay;
  }

  /** Index of `flannel.1`. */
  get device(): number {
    if (this.#device === undefined) throw new Error("the fixture has no links yet");
    return this.#device;
  }

  static async withLinks(): Promise<Fixture> {
    const fixture = new Fixture();
    const { socket } = fixture;
    await must(socket, addLink({ name: "u0", kind: "bridge", up: true }));
    const linkIndex = (await linkNamed(socket, "u0")).index;
    await must(
      socket,
      addAddress({ linkIndex, address: "192.0.2.1", prefixLength: 24 }),
      addAddress({ linkIndex, address: "2001:db8::1", prefixLength: 64, noDad: true }),
      addLink({
        name: "flannel.1",
        kind: "vxlan",
        up: true,
        mtu: 1450,
        mac: "0e:00:00:00:00:01",
        vxlan: { id: 1, lowerIndex: linkIndex, local: "192.0.2.1", port: 8472, learning: false },
      }),
    );
    fixture.#underlay = linkIndex;
    fixture.#device = (await linkNamed(socket, "flannel.1")).index;
    return fixture;
  }

  [Symbol.dispose](): void {
    this.socket.close();
    this.namespace.close();
  }
}
