/** Against real sockets: perl, which is part of every Debian, has the unix datagrams that Node lacks. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sendDatagram } from "./datagram.ts";

/** Binds the socket, says so, prints each datagram as one line, ends after as many as asked for. */
const LISTENER = `
  use Socket;
  my ($name, $count) = @ARGV;
  $name =~ s/^@/\\0/;
  socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die;
  bind($socket, pack_sockaddr_un($name)) or die "bind: $!";
  $| = 1;
  print "listening\\n";
  for (1 .. $count) {
    recv($socket, my $text, 8192, 0);
    $text =~ s/\\n/|/g;
    print "$text\\n";
  }
`;

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "datagram-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

async function received(socket: string, texts: readonly string[]): Promise<readonly string[]> {
  const listener = spawn("perl", ["-e", LISTENER, socket, String(texts.length)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  listener.stdout.setEncoding("utf8");
  const ended = once(listener, "close");
  try {
    await new Promise<void>((resolve, reject) => {
      listener.once("error", reject).once("exit", () => reject(new Error("perl ended")));
      listener.stdout.on("data", (text: string) => {
        output += text;
        if (output.startsWith("listening\n")) resolve();
      });
    });
    for (const text of texts) sendDatagram(socket, text);
    await ended;
  } finally {
    listener.kill("SIGKILL");
  }
  return output.split("\n").slice(1, -1);
}

test("datagrams arrive whole, one by one, at a socket with a path", async () => {
  const texts = ["READY=1\nSTATUS=bereit für Pods", "WATCHDOG=1", "x".repeat(4_095)];
  expect(await received(join(directory, "notify"), texts)).toEqual([
    "READY=1|STATUS=bereit für Pods",
    "WATCHDOG=1",
    "x".repeat(4_095),
  ]);
});

test("they arrive at an abstract socket", async () => {
  const socket = `@twill-test-${process.pid}`;
  expect(await received(socket, ["READY=1"])).toEqual(["READY=1"]);
});

test.each([
  ["nobody has made", () => join(directory, "none"), "ENOENT"],
  ["is abstract and nobody's", () => `@twill-none-${process.pid}`, "ECONNREFUSED"],
  ["has a name too long for the kernel", () => `/${"x".repeat(200)}`, "ENAMETOOLONG"],
])("a socket that %s is an error with its code", (_, socket, code) => {
  expect(() => sendDatagram(socket(), "READY=1")).toThrow(expect.objectContaining({ code }));
});

test("more than 4,095 bytes are refused, never cut", () => {
  expect(() => sendDatagram(join(directory, "none"), "x".repeat(4_096))).toThrow("EMSGSIZE");
});

test("names that no socket can have are a mistake of the caller", () => {
  for (const socket of ["", "a\0b"]) expect(() => sendDatagram(socket, "x")).toThrow(TypeError);
});
