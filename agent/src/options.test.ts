import { describe, expect, test } from "vitest";
import { AgentError } from "./core/errors.ts";
import { parseOptions } from "./options.ts";
import type { Options } from "./options.ts";

function options(words: readonly string[], environment: Record<string, string> = {}): Options {
  const request = parseOptions(words, environment);
  if (request.kind !== "run") throw new Error(`got ${request.kind}`);
  return request.options;
}

/** `code: message`; a message of several lines is a mistake. */
function refusal(words: readonly string[], environment: Record<string, string> = {}): string {
  try {
    options(words, environment);
  } catch (error) {
    if (!(error instanceof AgentError) || /[\r\n\u2028]/.test(error.message)) throw error;
    return `${error.code}: ${error.message}`;
  }
  return "accepted";
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
    interfaceWishes: { names: [], patterns: [], canReach: "", publicIp: "", publicIpv6: "" },
    subnetFile: "/run/flannel/subnet.env",
    renewMarginMinutes: 60,
    ipMasq: false,
    fullyRandomDisabled: false,
    forwardRules: true,
    blackholeRoute: false,
    rulesResyncSeconds: 5,
    healthIp: "0.0.0.0",
    healthPort: 0,
    readyzOnce: false,
    statusSocket: "/run/flannel/flanneld.sock",
    stateDirectory: "/var/lib/flannel",
    verbosity: 0,
    logFormat: "auto",
    warnings: [],
    given: {},
  });
});

describe("Go's syntax", () => {
  test("one dash or two, a space or an equals sign, are the same", () => {
    const expected = options(["--etcd-prefix=/net", "--v=1"]);
    const spaced = options(["-etcd-prefix", "/net", "-v", "1"]);
    expect(spaced).toEqual(expected);
    expect(options(["-etcd-prefix=/net", "--v", "0x1"])).toMatchObject({
      etcdPrefix: "/net",
      verbosity: 1,
    });
  });

  test("a value may be empty, hold an equals sign, or look like a flag", () => {
    expect(options(["-etcd-prefix=/a=b"]).etcdPrefix).toBe("/a=b");
    expect(options(["-iface="]).interfaceWishes.names).toEqual([""]);
    expect(options(["-etcd-prefix", "--v=3"])).toMatchObject({ etcdPrefix: "--v=3", verbosity: 0 });
  });

  test("the last value wins, but interfaces add up in order", () => {
    const words = ["-v=1", "-v=3", "--iface=eth0", "--iface", "eth1", "--iface-regex=^en"];
    const given = options([...words, "-ip-masq", "-ip-masq=false"]);
    expect(given).toMatchObject({ verbosity: 3, ipMasq: false });
    expect(given.interfaceWishes.names).toEqual(["eth0", "eth1"]);
    expect(given.interfaceWishes.patterns).toEqual(["^en"]);
    expect(given.given).toEqual({
      v: "3",
      iface: "eth0 eth1",
      "iface-regex": "^en",
      "ip-masq": "false",
    });
  });

  test.each(["1", "t", "T", "TRUE", "true", "True"])("%s is true", (text) => {
    expect(options([`-ip-masq=${text}`]).ipMasq).toBe(true);
    expect(options([], { FLANNELD_IP_MASQ: text }).ipMasq).toBe(true);
  });

  test.each(["0", "f", "F", "FALSE", "false", "False"])("%s is false", (text) => {
    expect(options([`-iptables-forward-rules=${text}`]).forwardRules).toBe(false);
    expect(options([], { FLANNELD_IPTABLES_FORWARD_RULES: text }).forwardRules).toBe(false);
  });

  test.each([
    ["1_000", 1000],
    ["0x_1f", 31],
    ["0X1F", 31],
    ["017", 15],
    ["0_7", 7],
    ["0o17", 15],
    ["0O17", 15],
    ["0b101", 5],
    ["-3", -3],
    ["-0", 0],
    ["+3", 3],
    ["0", 0],
    ["00", 0],
    ["2147483647", 2_147_483_647],
  ])("the integer %s is read as Go reads it", (text, value) => {
    expect(options([`-v=${text}`]).verbosity).toBe(value);
  });

  test.each([
    [
      "the word behind a bare boolean",
      ["-ip-masq", "false", "--iface", "eth0"],
      "false --iface eth0",
    ],
    ["a word that is no flag", ["eth0", "--etcd-prefix=/lost"], "eth0 --etcd-prefix=/lost"],
    ["--", ["--", "--etcd-prefix=/lost"], "--etcd-prefix=/lost"],
    ["a single dash", ["-", "-v=1"], "- -v=1"],
    ["an empty word", ["", "-v=1"], " -v=1"],
  ])("%s ends the flags, and what is ignored is named", (_, words, ignored) => {
    const given = options(words);
    expect(given).toMatchObject({ verbosity: 0, etcdPrefix: "/coreos.com/network" });
    expect(given.interfaceWishes.names).toEqual([]);
    expect(given.warnings).toEqual([`ignored after the first word that is no flag: ${ignored}`]);
  });

  test("help and version are requests of their own", () => {
    for (const word of ["--help", "-help", "-h", "--h", "-h=1"])
      expect(parseOptions(["-v=1", word, "--nope"], {})).toEqual({ kind: "help" });
    expect(parseOptions(["--version"], {})).toEqual({ kind: "version" });
    expect(parseOptions(["--version", "--kube-subnet-mgr"], {})).toEqual({ kind: "version" });
    expect(parseOptions(["--version=false"], {}).kind).toBe("run");
    // It was read before variables are.
    for (const text of ["true", "maybe"])
      expect(options([], { FLANNELD_VERSION: text })).toEqual(options([]));
    expect(parseOptions([], { FLANNELD_HELP: "true" }).kind).toBe("run");
  });
});

describe("variables", () => {
  test("count only when their flag is absent and they are not empty", () => {
    const environment = {
      FLANNELD_ETCD_PREFIX: "/env",
      FLANNELD_IFACE: "eth1,eth2",
      FLANNELD_SUBNET_FILE: "",
    };
    const given = options([], environment);
    expect(given.etcdPrefix).toBe("/env");
    // One element, however many commas.
    expect(given.interfaceWishes.names).toEqual(["eth1,eth2"]);
    expect(given.subnetFile).toBe("/run/flannel/subnet.env");
    expect(given.warnings).toEqual([]);
    const both = options(["-etcd-prefix=/flag", "-iface=eth0"], environment);
    expect(both.etcdPrefix).toBe("/flag");
    expect(both.interfaceWishes.names).toEqual(["eth0"]);
  });

  test.each([
    ["FLANNELD_V", "much", "integer, using the default 0"],
    ["FLANNELD_IP_MASQ", "yes", "boolean, using the default false"],
    ["FLANNELD_IPTABLES_FORWARD_RULES", " true", "boolean, using the default true"],
    ["FLANNELD_HEALTHZ_PORT", "9223372036854775808", "integer, using the default 0"],
  ])("%s=%j cannot be read: the default stands, and it is said", (name, text, words) => {
    const given = options([], { [name]: text });
    expect({ ...given, warnings: [] }).toEqual(options([]));
    expect(given.warnings).toEqual([
      `Failed to set flag FLANNELD from env: ${name} is no ${words}`,
    ]);
  });

  test("one that belongs to no flag is named", () => {
    const given = options([], { FLANNELD_ETCD_ENDPOINT: "canary", FLANNELD: "x", OTHER: "y" });
    expect(given.warnings).toEqual(["FLANNELD_ETCD_ENDPOINT is the variable of no flag: not used"]);
  });

  test("one that is out of range is refused by its own name", () => {
    expect(refusal([], { FLANNELD_SUBNET_LEASE_RENEW_MARGIN: "0" })).toBe(
      'options-invalid: invalid value "0" for variable FLANNELD_SUBNET_LEASE_RENEW_MARGIN: out of acceptable range, give 1 to 1439',
    );
  });
});

describe("bad words", () => {
  test.each([
    [["--nope"], "flag provided but not defined: -nope"],
    [["--nope=canary"], "flag provided but not defined: -nope"],
    [["-V=1"], "flag provided but not defined: -V"],
    [["-ip_masq"], "flag provided but not defined: -ip_masq"],
    [["-n\nope\u001b[2J"], String.raw`flag provided but not defined: -n\x0aope\x1b[2J`],
    [["-v"], "flag needs an argument: -v"],
    [["-iface"], "flag needs an argument: -iface"],
    [["-v=much"], 'invalid value "much" for flag -v: parse error'],
    [["-v="], 'invalid value "" for flag -v: parse error'],
    [["-v= 1"], 'invalid value " 1" for flag -v: parse error'],
    [["-v=08"], 'invalid value "08" for flag -v: parse error'],
    [["-v=1__0"], 'invalid value "1__0" for flag -v: parse error'],
    [["-v=1_"], 'invalid value "1_" for flag -v: parse error'],
    [["-v=_1"], 'invalid value "_1" for flag -v: parse error'],
    [["-v=0x"], 'invalid value "0x" for flag -v: parse error'],
    [["-v=0xg"], 'invalid value "0xg" for flag -v: parse error'],
    [["-v=0b2"], 'invalid value "0b2" for flag -v: parse error'],
    [["-v=1.5"], 'invalid value "1.5" for flag -v: parse error'],
    [["-v=1e3"], 'invalid value "1e3" for flag -v: parse error'],
    [["-v=--1"], 'invalid value "--1" for flag -v: parse error'],
    [["-v=9223372036854775808"], "for flag -v: value out of range"],
    [["-v=1\n2"], String.raw`invalid value "1\x0a2" for flag -v: parse error`],
    [[`-v=${"9a".repeat(50_000)}`], `${"9a".repeat(100)}…" for flag -v: parse error`],
    [["-version=maybe"], 'invalid boolean value "maybe" for -version: parse error'],
    [["-ip-masq=yes"], 'invalid boolean value "yes" for -ip-masq: parse error'],
    [["-ip-masq="], 'invalid boolean value "" for -ip-masq: parse error'],
    [["-iptables-forward-rules=2"], 'invalid boolean value "2" for -iptables-forward-rules'],
    [["-iptables-resync=5s"], 'invalid value "5s" for flag -iptables-resync: parse error'],
    [["-=canary"], "bad flag syntax: -=…"],
    [["--=canary"], "bad flag syntax: --=…"],
    [["---v=canary"], "bad flag syntax: ---v=…"],
  ])("%j: %s", (words, message) => {
    const said = refusal(words);
    expect(said).toMatch(/^flags-unreadable: /);
    expect(said).toContain(message);
    expect(said).not.toContain("canary");
  });
});

describe("bad values", () => {
  test.each([
    ["-subnet-lease-renew-margin=0", "out of acceptable range, give 1 to 1439"],
    ["-subnet-lease-renew-margin=1440", "out of acceptable range, give 1 to 1439"],
    ["-subnet-lease-renew-margin=-1", "out of acceptable range, give 1 to 1439"],
    ["-iptables-resync=0", "out of acceptable range, give 1 to 86400"],
    ["-iptables-resync=86401", "out of acceptable range, give 1 to 86400"],
    ["-healthz-port=65536", "out of acceptable range, give at most 65535"],
    ["-v=2147483648", "out of acceptable range, give -2147483648 to 2147483647"],
    ["-etcd-endpoints=http://a:1, http://b:2", 'invalid value " http://b:2"'],
    ["-etcd-endpoints=http://a:1,,http://b:2", 'invalid value ""'],
    ["-etcd-endpoints=", 'invalid value "" for flag -etcd-endpoints: expected http://host:port'],
    ["-etcd-endpoints=ftp://a:1", "expected http://host:port or https://host:port"],
    ["-etcd-endpoints=http://a", "expected http://host:port or https://host:port"],
    ["-etcd-endpoints=http://a:0", "expected http://host:port or https://host:port"],
    ["-etcd-endpoints=http://a:65536", "expected http://host:port or https://host:port"],
    ["-etcd-endpoints=http://2001:db8::1:2379", "expected http://host:port or https://host:port"],
    ["-etcd-endpoints=http://a:1/path", "expected http://host:port or https://host:port"],
    ["-etcd-keyfile=/k", "flags -etcd-keyfile and -etcd-certfile belong together"],
    ["-etcd-certfile=/c", "flags -etcd-keyfile and -etcd-certfile belong together"],
    ["-subnet-file=", "expected the path of a file, such as /run/flannel/subnet.env"],
    ["-subnet-file=/run/flannel/", "expected the path of a file"],
    ["-log-format=xml", 'invalid value "xml" for flag -log-format: one of auto, json, text'],
    ["-log-format=", "one of auto, json, text"],
    [
      "-vmodule=main",
      'invalid value "main" for flag -vmodule: expected pattern=N, comma-separated',
    ],
    ["-vmodule=main=2=3", "expected pattern=N"],
    ["-vmodule==2", "expected pattern=N"],
    ["-vmodule=main=", "expected pattern=N"],
    ["-vmodule=main=x", "expected pattern=N"],
    ["-vmodule=main=-1", "N from 0 on"],
    ["-vmodule=main=1,vxlan", "expected pattern=N"],
    [
      "-log_backtrace_at=main",
      'invalid value "main" for flag -log_backtrace_at: expected file.go:N, N from 1 on',
    ],
    ["-log_backtrace_at=main:1", "expected file.go:N"],
    ["-log_backtrace_at=main.go", "expected file.go:N"],
    ["-log_backtrace_at=main.go:0", "N from 1 on"],
    ["-log_backtrace_at=main.go:-3", "N from 1 on"],
    ["-log_backtrace_at=main.go:1:2", "expected file.go:N"],
    ["-log_backtrace_at=main.go:x", "expected file.go:N"],
    ["-iface-regex=(", "--iface-regex=(: not a regular expression: "],
    ["-iface-regex=[[:alpha:]]", "--iface-regex=[[:alpha:]]: not a regular expression: "],
    [`-iface-regex=${"(".repeat(100_000)}`, `--iface-regex=${"(".repeat(200)}…: not a regular`],
    ["-iface-can-reach=example", "--iface-can-reach=example: expected an IP address"],
    ["-iface-can-reach=192.0.2.0/24", "--iface-can-reach=192.0.2.0/24: expected an IP address"],
    ["-public-ip=2001:db8::1", "--public-ip=2001:db8::1: expected an IPv4 address"],
    ["-public-ip=192.0.2.256", "--public-ip=192.0.2.256: expected an IPv4 address"],
    ["-public-ip=node1", "--public-ip=node1: expected an IPv4 address"],
    ["-public-ipv6=192.0.2.1", "--public-ipv6=192.0.2.1: expected an IPv6 address"],
    ["-public-ipv6=fe80::1%eth0", "--public-ipv6=fe80::1%eth0: expected an IPv6 address"],
  ])("%s: %s", (word, message) => {
    const said = refusal([word]);
    expect(said).toMatch(/^options-invalid: /);
    expect(said).toContain(message);
  });

  test.each(["-healthz-port=-1", "-healthz-port=0", "-healthz-port=-9000000000"])(
    "%s means no server",
    (word) => {
      expect(options([word]).healthPort).toBe(0);
    },
  );
});

test.each(["main=2", "main=2,", ",main=0,vxlan*=9", ","])(
  "-vmodule=%s is read, and said to change nothing",
  (value) => {
    const { verbosity, warnings } = options([`-vmodule=${value}`]);
    expect({ verbosity, warnings }).toEqual({
      verbosity: 0,
      warnings: [
        "vmodule names source files of flannel: it changes nothing, -v=1 shows every call",
      ],
    });
  },
);

test("-log_backtrace_at is read, and said to change nothing", () => {
  expect(options(["-log_backtrace_at=main.go:234"]).warnings).toEqual([
    "log_backtrace_at names source files of flannel: it changes nothing, -v=1 shows every call",
  ]);
  expect(options(["-log_backtrace_at="]).warnings).toEqual([]);
});

describe("secrets", () => {
  test("a user without a password, and the other way round, is warned of", () => {
    const warning =
      "etcd-username and etcd-password only count together: connecting without authentication";
    expect(options(["-etcd-username=node"]).warnings).toEqual([warning]);
    expect(options(["-etcd-password=canary"]).warnings).toEqual([warning]);
    const both = options(["-etcd-username=node"], { FLANNELD_ETCD_PASSWORD: "canary" });
    expect(both).toMatchObject({ etcdPassword: "canary", warnings: [] });
  });

  test.each([
    [["x", "--etcd-password=canary words", "-etcd-password", "canary words"]],
    [["etcd-password=canary"]],
    [["x", "-etcd-password", "-canary"]],
    [["x", "--ETCD_PASSWORD=canary"]],
    [["x", "--etcd-endpoints=http://root:canary/canary@store:2379,http://u:canary@b:1"]],
    [["-etcd-username=u", "-etcd-password=canary"]],
  ])("nothing that is said of %j repeats a password", (words) => {
    const { warnings, given } = options(words);
    expect(JSON.stringify([warnings, given])).not.toContain("canary");
  });

  test.each([
    "http://root:canary@store:2379",
    "http://root:a,canary@store:2379",
    "http://root:can/canary@store:2379",
    "root:canary@store:2379",
  ])("a password in an endpoint is refused without repeating it: %s", (endpoint) => {
    const expected =
      'options-invalid: flag -etcd-endpoints holds a user name or password (there is an "@" in it): give those with -etcd-username and FLANNELD_ETCD_PASSWORD';
    expect(refusal([`-etcd-endpoints=${endpoint}`])).toBe(expected);
    expect(refusal([], { FLANNELD_ETCD_ENDPOINTS: endpoint })).toBe(
      expected.replace("flag -etcd-endpoints", "variable FLANNELD_ETCD_ENDPOINTS"),
    );
  });

  test("a URL of the Kubernetes API is refused without repeating it", () => {
    expect(refusal(["-kube-api-url=https://u:canary@api"])).not.toContain("canary");
  });
});
