import { type SocketHandle, loadAddon } from "./addon.ts";
import { NetlinkError } from "./errors.ts";
import { MessageReader } from "./message-reader.ts";
import { MessageWriter } from "./message-writer.ts";
import { isObject, readRefusal } from "./reply.ts";
import { NLM_F_REQUEST } from "./request.ts";
import { NETLINK_NETFILTER, NFGENMSG_BYTES, NFNL_SUBSYS_NFTABLES } from "./nftables-events.ts";

/** Source: linux/netfilter/nf_tables.h */
const NFT_MSG_GETGEN = (NFNL_SUBSYS_NFTABLES << 8) | 16;
const NFTA_GEN_ID = 1;

/** One short answer. */
const RECEIVE_BUFFER_BYTES = 1 << 16;

/** Asks a network namespace's nf_tables whether anything changed. */
export class NftablesGeneration {
  readonly #handle: SocketHandle;
  readonly #request: Uint8Array;

  private constructor(handle: SocketHandle) {
    this.#handle = handle;
    const writer = new MessageWriter();
    writer.beginMessage(NFT_MSG_GETGEN, NLM_F_REQUEST, 1);
    for (let byte = 0; byte < NFGENMSG_BYTES; byte++) writer.u8("nfgenmsg", 0);
    writer.endMessage();
    this.#request = writer.bytes;
  }

  /** @param namespace path of a network namespace; absent for the process's own @throws NetlinkError */
  static open(namespace?: string): NftablesGeneration {
    const handle = loadAddon().openSocket(
      NETLINK_NETFILTER,
      namespace ?? null,
      RECEIVE_BUFFER_BYTES,
    );
    if (typeof handle === "number") throw new NetlinkError("open a netfilter socket", handle);
    return new NftablesGeneration(handle);
  }

  /** A number that is another one after each transaction. @throws NetlinkError */
  read(): number {
    const what = "ask nf_tables for its generation";
    const received = loadAddon().exchangeSync(this.#handle, this.#request, true);
    if (typeof received === "number") throw new NetlinkError(what, received);
    let generation: number | undefined;
    const message = new MessageReader(received);
    while (message.next()) {
      const refusal = readRefusal(message, { describe: () => what });
      if (refusal !== undefined) throw refusal;
      const attribute = isObject(message) ? message.attributes(NFGENMSG_BYTES) : undefined;
      while (attribute?.next() === true)
        // In network order, as everything in nf_tables.
        if (attribute.type === NFTA_GEN_ID) {
          const content = attribute.content();
          generation = new DataView(content.buffer, content.byteOffset).getUint32(0, false);
        }
    }
    if (generation === undefined) throw new NetlinkError(`${what}, which said nothing`, 0);
    return generation;
  }

  close(): void {
    loadAddon().closeSocket(this.#handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
