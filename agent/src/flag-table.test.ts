import { describe, expect, test } from "vitest";
import { AgentError } from "./core/errors.ts";
import { FLAGS } from "./flag-table.ts";
import { formatFlagsPage, formatUsage } from "./flag-text.ts";
import { parseOptions, variableName } from "./options.ts";
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

/** The reference's flags with Go's types and defaults. Source: spec 01 section 1.2. */
const REFERENCE = [
  ["etcd-endpoints", "string", "http://127.0.0.1:4001,http://127.0.0.1:2379"],
  ["etcd-prefix", "string", "/coreos.com/network"],
  ["etcd-keyfile", "string", ""],
  ["etcd-certfile", "string", ""],
  ["etcd-cafile", "string", ""],
  ["etcd-username", "string", ""],
  ["etcd-password", "string", ""],
  ["iface", "list", ""],
  ["iface-regex", "list", ""],
  ["iface-can-reach", "string", ""],
  ["subnet-file", "string", "/run/flannel/subnet.env"],
  ["public-ip", "string", ""],
  ["public-ipv6", "string", ""],
  ["subnet-lease-renew-margin", "integer", "60"],
  ["ip-masq", "boolean", "false"],
  ["ip-masq-fully-random-disable", "boolean", "false"],
  ["kube-subnet-mgr", "boolean", "false"],
  ["kube-api-url", "string", ""],
  ["kube-annotation-prefix", "string", "flannel.alpha.coreos.com"],
  ["kubeconfig-file", "string", ""],
  ["version", "boolean", "false"],
  ["healthz-ip", "string", "0.0.0.0"],
  ["healthz-port", "integer", "0"],
  ["iptables-resync", "integer", "5"],
  ["iptables-forward-rules", "boolean", "true"],
  ["ip-blackhole-route", "boolean", "false"],
  ["net-config-path", "string", "/etc/kube-flannel/net-conf.json"],
  ["set-node-network-unavailable", "boolean", "true"],
  ["v", "integer", "0"],
  ["vmodule", "string", ""],
  ["log_backtrace_at", "string", ""],
] as const;

/** A value of each flag that is good and not its default; flags that refuse any such value are left out. */
const GOOD: Readonly<Record<string, { value: string; reads: Partial<Options> }>> = {
  "etcd-endpoints": {
    value: "https://a:2379,https://[2001:db8::1]:2379/",
    reads: { etcdEndpoints: ["https://a:2379", "https://[2001:db8::1]:2379/"] },
  },
  "etcd-prefix": { value: "/net", reads: { etcdPrefix: "/net" } },
  "etcd-cafile": { value: "/ca", reads: { etcdAuthoritiesFile: "/ca" } },
  "etcd-username": { value: "node", reads: { etcdUsername: "node" } },
  "etcd-password": { value: "canary", reads: { etcdPassword: "canary" } },
  "subnet-file": { value: "/run/two/subnet.env", reads: { subnetFile: "/run/two/subnet.env" } },
  "subnet-lease-renew-margin": { value: "1439", reads: { renewMarginMinutes: 1439 } },
  "ip-masq": { value: "true", reads: { ipMasq: true } },
  "ip-masq-fully-random-disable": { value: "T", reads: { fullyRandomDisabled: true } },
  "healthz-ip": { value: "::1", reads: { healthIp: "::1" } },
  "healthz-port": { value: "8286", reads: { healthPort: 8286 } },
  "iptables-resync": { value: "0x1e", reads: { rulesResyncSeconds: 30 } },
  "iptables-forward-rules": { value: "F", reads: { forwardRules: false } },
  "ip-blackhole-route": { value: "1", reads: { blackholeRoute: true } },
  vmodule: { value: "main=2,vxlan*=9,", reads: { given: { vmodule: "main=2,vxlan*=9," } } },
  log_backtrace_at: {
    value: "main.go:234",
    reads: { given: { log_backtrace_at: "main.go:234" } },
  },
  "set-node-network-unavailable": { value: "false", reads: {} },
  v: { value: "2", reads: { verbosity: 2 } },
  "readyz-once": { value: "true", reads: { readyzOnce: true } },
  "status-socket": { value: "none", reads: { statusSocket: "" } },
  "state-dir": { value: "none", reads: { stateDirectory: "" } },
  "log-format": { value: "json", reads: { logFormat: "json" } },
};
const WISHES = {
  iface: { value: "eth1", reads: { names: ["eth1"] } },
  "iface-regex": { value: "^en", reads: { patterns: ["^en"] } },
  "iface-can-reach": { value: "192.0.2.1", reads: { canReach: "192.0.2.1" } },
  "public-ip": { value: "192.0.2.1", reads: { publicIp: "192.0.2.1" } },
  "public-ipv6": { value: "2001:db8::1", reads: { publicIpv6: "2001:db8::1" } },
};

describe("the table", () => {
  test("has every flag of the reference with its type and default, and nothing else that is not marked ours", () => {
    const theirs = FLAGS.filter(({ ours }) => ours !== true).map(
      ({ name, type, fallback }) => `${name} ${type} ${fallback}`,
    );
    const expected: string[] = REFERENCE.map((row) => row.join(" "));
    expect(theirs.toSorted()).toEqual(expected.toSorted());
  });

  test("has each name once, and a help text without a line break", () => {
    expect(new Set(FLAGS.map(({ name }) => name)).size).toBe(FLAGS.length);
    for (const { help } of FLAGS) expect(help).toMatch(/^[^\n|]+[^.\n|]$/);
  });

  test.each(FLAGS.filter(({ missing }) => missing !== undefined))(
    "-$name is refused where another value than the default is asked for",
    ({ name, type, missing = "", fallback }) => {
      const value = type === "boolean" ? "1" : "canary";
      expect(refusal([`-${name}=${value}`])).toBe(`options-invalid: flag -${name}: ${missing}`);
      expect(refusal([], { [variableName(name)]: value })).toBe(
        `options-invalid: variable ${variableName(name)}: ${missing}`,
      );
      expect(missing).toMatch(/: leave it out/);
      expect(refusal([`-${name}=${fallback}`])).toBe("accepted");
    },
  );

  const readable = FLAGS.filter(
    ({ name, missing }) => missing === undefined && !/^(version|etcd-(key|cert)file)$/.test(name),
  );
  test.each(readable)("-$name is read from the command line and from its variable", ({ name }) => {
    const wish = new Map(Object.entries(WISHES)).get(name);
    const { value, reads } = wish ?? GOOD[name] ?? { value: "", reads: undefined };
    const expected =
      wish === undefined
        ? reads
        : { interfaceWishes: { ...options([]).interfaceWishes, ...reads } };
    expect(options([`-${name}=${value}`])).toMatchObject(expected ?? { missing: name });
    const variables = { [variableName(name)]: value };
    expect(options([], variables)).toMatchObject(expected ?? { missing: name });
  });

  test.each(readable.filter(({ type }) => type !== "list"))(
    "-$name on the command line wins over its variable, also with the default",
    ({ name, fallback }) => {
      const variables = { [variableName(name)]: GOOD[name]?.value ?? "192.0.2.1" };
      const given = options([`--${name}=${fallback}`], variables);
      expect({ ...given, given: {} }).toEqual(options([]));
    },
  );
});

describe("for people", () => {
  test("the usage starts as the reference's and names every flag with its default", () => {
    const usage = formatUsage("flanneld");
    expect(usage.split("\n")[0]).toBe("Usage: flanneld [OPTION]...");
    expect(usage).toContain(
      "  -etcd-prefix string\n        etcd key prefix (default /coreos.com/network)\n",
    );
    expect(usage).toContain("  -ip-masq\n        masquerade");
    expect(usage).toContain("  -iface value\n");
    for (const { name } of FLAGS) expect(usage).toMatch(new RegExp(`^  -${name}( |$)`, "m"));
  });

  test("the usage says which flags are not here", () => {
    expect(formatUsage("flanneld")).toMatch(/-kube-subnet-mgr\n +.* \(not here: /);
  });

  test("docs/flags.md is fresh", async () => {
    await expect(formatFlagsPage()).toMatchFileSnapshot("../../docs/flags.md");
  });
});
