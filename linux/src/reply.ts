/** What comes back besides objects: refusals, acknowledgements, the end of a dump. */
import { NetlinkError } from "./errors.ts";
import type { AttributeReader, MessageReader } from "./message-reader.ts";
import { MESSAGE_HEADER_BYTES, align } from "./message-writer.ts";

/** Source: linux/netlink.h */
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSG_MIN_TYPE = 16;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;

/** Whether the message carries an object, not a word about the conversation. */
export function isObject(message: MessageReader): boolean {
  return message.type >= NLMSG_MIN_TYPE;
}

/** Whether the kernel says that what it dumps changed meanwhile. */
export function sawInterruption(message: MessageReader): boolean {
  return (message.flags & NLM_F_DUMP_INTR) !== 0;
}

function readText(attribute: AttributeReader): string | undefined {
  while (attribute.next()) {
    if (attribute.type === NLMSGERR_ATTR_MSG) return attribute.text();
  }
  return undefined;
}

/** Where the extended text begins: behind the errno, and the request that an error repeats. */
function textOffset(message: MessageReader): number {
  if (message.type === NLMSG_DONE) return 4;
  if ((message.flags & NLM_F_CAPPED) !== 0) return 4 + MESSAGE_HEADER_BYTES;
  return 4 + align(message.u32(4));
}

/**
 * The refusal in an error message or at the end of a dump; undefined when the message is none.
 * @param asked what was asked, in words
 * @throws CodecError
 */
export function readRefusal(
  message: MessageReader,
  asked: { describe(): string },
): NetlinkError | undefined {
  if (message.type !== NLMSG_ERROR && message.type !== NLMSG_DONE) return undefined;
  // A dump without an error may end without a number.
  if (message.type === NLMSG_DONE && message.bodyBytes === 0) return undefined;
  const errno = -message.i32(0);
  if (errno <= 0) return undefined;
  const hasText = (message.flags & NLM_F_ACK_TLVS) !== 0;
  const detail = hasText ? readText(message.attributes(textOffset(message))) : undefined;
  return new NetlinkError(asked.describe(), errno, detail);
}
