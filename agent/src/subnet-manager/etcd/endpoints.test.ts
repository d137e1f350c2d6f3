import { expect, test } from "vitest";
import { parseEndpoints } from "./endpoints.ts";

test.each([
  ["http://192.0.2.1:2379", "http://192.0.2.1:2379", "192.0.2.1:2379", false],
  ["https://store.example:4001/", "https://store.example:4001", "store.example:4001", true],
  ["http://192.0.2.1", "http://192.0.2.1:2379", "192.0.2.1:2379", false],
  ["http://192.0.2.1:80", "http://192.0.2.1:80", "192.0.2.1:80", false],
  ["https://192.0.2.1:443", "https://192.0.2.1:443", "192.0.2.1:443", true],
  [" 192.0.2.1:2379 ", "http://192.0.2.1:2379", "192.0.2.1:2379", false],
  ["http://[2001:db8::1]:2379", "http://[2001:db8::1]:2379", "[2001:db8::1]:2379", false],
  ["http://root:secret@192.0.2.1:2379", "http://192.0.2.1:2379", "192.0.2.1:2379", false],
  ["unix:///run/etcd.sock", "unix:///run/etcd.sock", "unix:/run/etcd.sock", false],
])("%s", (text, url, target, secure) => {
  expect(parseEndpoints([text])).toEqual([{ url, target, secure }]);
});

test.each([
  [[], "no etcd endpoint"],
  [["", " "], "no etcd endpoint"],
  [["ftp://192.0.2.1:2379"], 'unknown scheme "ftp"'],
  [["http://"], "not a URL"],
  [["http://192.0.2.1:2379", "https://192.0.2.2:2379"], "mix plain text and TLS"],
])("%j is refused: %s", (texts, message) => {
  expect(() => parseEndpoints(texts)).toThrow(message);
});

test("without a scheme, certificate files mean TLS", () => {
  const [endpoint] = parseEndpoints(["192.0.2.1:2379"], { secureByDefault: true });
  expect(endpoint).toMatchObject({ url: "https://192.0.2.1:2379", secure: true });
});

test("a password never shows in a message", () => {
  expect(() => parseEndpoints(["http://root:secret@192.0.2.1:port"])).toThrow(
    expect.not.stringContaining("secret"),
  );
});
