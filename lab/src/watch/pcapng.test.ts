import { describe, expect, it } from "vitest";
import { readPcapng } from "../testing/pcapng.ts";
import { formatPcapng, type RecordedPacket } from "./pcapng.ts";

const PACKET: RecordedPacket = {
  interfaceIndex: 1,
  seconds: 1_790_000_000,
  nanoseconds: 5_000_001,
  direction: "inbound",
  bytes: Buffer.from("0123456789abcde"),
  lengthBytes: 1514,
};
const INTERFACES = [
  { name: "n1", description: "port of n1" },
  { name: "n12", description: "port of n12" },
];

describe("a packet file", () => {
  it("is read back as it was written", () => {
    const file = formatPcapng({
      comment: "D7 – a loop",
      interfaces: INTERFACES,
      packets: [PACKET, { ...PACKET, interfaceIndex: 0, direction: "outbound", seconds: 1 }],
    });
    const { comment, packets } = readPcapng(Buffer.from(file));
    expect(comment).toBe("D7 – a loop");
    expect(packets).toEqual([
      {
        port: "n12",
        inbound: true,
        atMs: 1_790_000_000_005,
        bytes: PACKET.bytes,
        lengthBytes: 1514,
      },
      { port: "n1", inbound: false, atMs: 1005, bytes: PACKET.bytes, lengthBytes: 1514 },
    ]);
  });

  it("is a file also without packets", () => {
    expect(
      readPcapng(Buffer.from(formatPcapng({ comment: "", interfaces: [], packets: [] }))),
    ).toEqual({
      comment: "",
      packets: [],
    });
  });

  // As the draft draws it, so that the reader of these tests cannot be wrong together with the writer.
  it("begins as the draft says", () => {
    const file = formatPcapng({ comment: "x", interfaces: [], packets: [] });
    expect(Buffer.from(file).toString("hex")).toBe(
      [
        "0a0d0d0a", // section header block
        "28000000", // 40 bytes
        "4d3c2b1a", // little endian
        "01000000", // version 1.0
        "ffffffffffffffff", // of unknown length
        "0100010078000000", // opt_comment, 1 byte: x
        "00000000", // opt_endofopt
        "28000000",
      ].join(""),
    );
  });
});
