import { expect, test } from "vitest";
import { formatFlagsPage, formatUsage, parseOptions } from "./options.ts";
import type { Options } from "./options.ts";

function options(words: readonly string[], environment: Record<string, string> = {}): Options {
  const request = parseOptions(words, environment);
  if (request.kind !== "run") throw new Error(`got ${request.kind}`);
  return request.options;
}

test("without flags every option has the reference's default", () => {
  expect(options([])).toEqual({
    etcdEndpoints: ["http://127.0.0.1:4001", "http://127.0.0.1:2379"],
    etcdPrefix: "/coreos.com/network",
    etcdKeyFile: "",
    etcdCertificateFile: "",
    etcdAuthoritiesFile: "",
    etcdUsername: "",
    etcdPassword: "",
    interfaceNames: [],
    interfacePatterns: [],
    interfaceCanReach: "",
    publicIp: "",
    publicIpv6: "",
    subnetFile: "/run/flannel/subnet.env",
    renewMarginMinutes: 60,
    ipMasq: false,
    fullyRandomDisabled: false,
    forwardRules: true,
    rulesResyncSeconds: 5,
    healthIp: "0.0.0.0",
    healthPort: 0,
    verbosity: 0,
    logFormat: "auto",
    warnings: [],
  });
});

test("one dash or two, a space or an equals sign, are the same", () => {
  const expected = options(["--etcd-prefix=/net", "--v=1"]);
  expect(options(["-etcd-prefix", "/net", "-v", "1"])).toEqual(expected);
  expect(options(["-etcd-prefix=/net", "--v", "0x1"])).toEqual(expected);
});

test("the last value wins, but interfaces add up in order", () => {
  const given = options(["-v=1", "-v=3", "--iface=eth0", "--iface", "eth1", "--iface-regex=^en"]);
  expect(given.verbosity).toBe(3);
  expect(given.interfaceNames).toEqual(["eth0", "eth1"]);
  expect(given.interfacePatterns).toEqual(["^en"]);
});

test("a variable counts only when its flag is absent and it is not empty", () => {
  const environment = {
    FLANNELD_ETCD_PREFIX: "/env",
    FLANNELD_IFACE: "eth1",
    FLANNELD_SUBNET_FILE: "",
  };
  expect(options([], environment)).toMatchObject({ etcdPrefix: "/env", interfaceNames: ["eth1"] });
  expect(options([], environment).subnetFile).toBe("/run/flannel/subnet.env");
  expect(options(["-etcd-prefix=/flag"], environment).etcdPrefix).toBe("/flag");
});

test("an unreadable variable leaves the default in place and says so", () => {
  const given = options([], { FLANNELD_V: "much" });
  expect(given.verbosity).toBe(0);
  expect(given.warnings).toEqual(["FLANNELD_V is not an integer, using 0"]);
});

test.each([
  [["-ip-masq"], {}, { ipMasq: true }],
  [["--ip-masq=false"], { FLANNELD_IP_MASQ: "true" }, { ipMasq: false }],
  [[], { FLANNELD_IP_MASQ: "T" }, { ipMasq: true }],
  [["-ip-masq-fully-random-disable"], {}, { fullyRandomDisabled: true }],
  [["-iptables-forward-rules=f"], {}, { forwardRules: false }],
  [[], { FLANNELD_IPTABLES_FORWARD_RULES: "0" }, { forwardRules: false }],
  [["-iptables-resync", "0x1e"], {}, { rulesResyncSeconds: 30 }],
])("of rules %j with the variables %j say %j", (words, environment, expected) => {
  expect(options(words, environment)).toMatchObject(expected);
});

test("an unreadable boolean variable leaves the default in place and says so", () => {
  const given = options([], { FLANNELD_IPTABLES_FORWARD_RULES: "maybe" });
  expect(given.forwardRules).toBe(true);
  expect(given.warnings).toEqual(["FLANNELD_IPTABLES_FORWARD_RULES is not a boolean, using true"]);
});

test("words after the first that is no flag are ignored as in Go, but named", () => {
  const given = options(["-v=1", "eth0", "--etcd-prefix=/lost"]);
  expect(given.etcdPrefix).toBe("/coreos.com/network");
  expect(given.warnings[0]).toContain("eth0 --etcd-prefix=/lost");
});

test.each([
  [["--nope"], "flag provided but not defined: -nope"],
  [["--nope=1"], "flag provided but not defined: -nope"],
  [["-v"], "flag needs an argument: -v"],
  [["-v=much"], 'invalid value "much" for flag -v: parse error'],
  [["-v=08"], 'invalid value "08" for flag -v: parse error'],
  [["-v=1__0"], 'invalid value "1__0" for flag -v: parse error'],
  [["-version=maybe"], 'invalid value "maybe" for flag -version: parse error'],
  [["-=x"], "bad flag syntax: -=x"],
  [["-subnet-lease-renew-margin=0"], "out of acceptable range 1 to 1439"],
  [["-subnet-lease-renew-margin=1440"], "out of acceptable range 1 to 1439"],
  [["-iptables-resync=0"], "out of acceptable range 1 to 86400"],
  [["-iptables-resync=86401"], "out of acceptable range 1 to 86400"],
  [["-iptables-resync=5s"], 'invalid value "5s" for flag -iptables-resync: parse error'],
  [["-ip-masq=yes"], 'invalid value "yes" for flag -ip-masq: parse error'],
  [["-iptables-forward-rules=2"], 'invalid value "2" for flag -iptables-forward-rules'],
  [["-healthz-port=70000"], "out of acceptable range"],
  [["-etcd-endpoints=http://a:1, http://b:2"], 'invalid value " http://b:2"'],
  [["-etcd-endpoints="], "for flag -etcd-endpoints"],
  [["-etcd-endpoints=ftp://a:1"], "for flag -etcd-endpoints"],
  [["-log-format=xml"], "one of auto, json, text"],
  [["-etcd-keyfile=/k"], "flags -etcd-keyfile and -etcd-certfile belong together"],
  [["-etcd-certfile=/c"], "flags -etcd-keyfile and -etcd-certfile belong together"],
])("%s is refused", (words, message) => {
  expect(() => options(words)).toThrow(message);
});

test.each([
  ["1_000", 1000],
  ["0x_1f", 31],
  ["017", 15],
  ["0o17", 15],
  ["0b101", 5],
  ["-3", -3],
  ["0", 0],
])("the integer %s is read as Go reads it", (text, value) => {
  expect(options([`-v=${text}`]).verbosity).toBe(value);
});

test("the authorities alone are an option of their own; a user without a password is warned of", () => {
  expect(options(["-etcd-cafile=/ca"]).etcdAuthoritiesFile).toBe("/ca");
  const given = options(["-etcd-username=node"], {});
  expect(given.warnings).toEqual([
    "etcd-username and etcd-password only count together: connecting without authentication",
  ]);
  const both = options(["-etcd-username=node"], { FLANNELD_ETCD_PASSWORD: "canary" });
  expect(both).toMatchObject({ etcdPassword: "canary", warnings: [] });
});

test("no message repeats a password", () => {
  const given = options(["eth0", "--etcd-password=canary", "-etcd-password", "canary"]);
  expect(JSON.stringify(given.warnings)).not.toContain("canary");
  const endpoint = "-etcd-endpoints=http://root:canary@store:2379";
  expect(() => options([endpoint])).toThrow(expect.not.stringContaining("canary"));
});

test("help and version are requests of their own", () => {
  expect(parseOptions(["--help"], {})).toEqual({ kind: "help" });
  expect(parseOptions(["-v=1", "-h"], {})).toEqual({ kind: "help" });
  expect(parseOptions(["--version"], {})).toEqual({ kind: "version" });
  expect(parseOptions(["--version=false"], {}).kind).toBe("run");
});

test("the usage starts as the reference's and names every flag with its default", () => {
  const usage = formatUsage("flanneld");
  expect(usage.split("\n")[0]).toBe("Usage: flanneld [OPTION]...");
  expect(usage).toContain(
    "  -etcd-prefix string\n        etcd key prefix (default /coreos.com/network)\n",
  );
});

test("docs/flags.md is fresh", async () => {
  await expect(formatFlagsPage()).toMatchFileSnapshot("../../docs/flags.md");
});
