import type { IpFamily } from "./addresses.ts";
import { LabError } from "./errors.ts";

/** What the flags say about the network; the rest of net-conf.json is left to the agent's defaults. */
export interface NetworkWishes {
  readonly backend?: string;
  /** Members of the `Backend` object beside `Type`. */
  readonly backendOptions?: Readonly<Record<string, unknown>>;
  readonly dualStack?: boolean;
  readonly network?: string;
  readonly subnetLength?: number;
}

const DEFAULT_BACKEND = "vxlan";
/** What subnets are leased from, unless the config says otherwise. */
export const NETWORKS = { ipv4: "10.244.0.0/16", ipv6: "fd00:10:244::/48" } as const;
/** What they are leased from once a cluster is renumbered. */
export const OTHER_NETWORKS = { ipv4: "10.245.0.0/16", ipv6: "fd00:10:245::/48" } as const;

/** The text of net-conf.json. Source: flannel Documentation/configuration.md. */
export function formatNetworkConfig(wishes: NetworkWishes): string {
  return JSON.stringify({
    Network: wishes.network ?? NETWORKS.ipv4,
    ...(wishes.subnetLength === undefined ? {} : { SubnetLen: wishes.subnetLength }),
    ...(wishes.dualStack === true ? { EnableIPv6: true, IPv6Network: NETWORKS.ipv6 } : {}),
    Backend: { Type: wishes.backend ?? DEFAULT_BACKEND, ...wishes.backendOptions },
  });
}

/** The little that the lab itself must know of a network config, even of one that no agent accepts. */
export interface NetworkFacts {
  /** Lower case; undefined when the config names none. */
  readonly backend: string | undefined;
  readonly dualStack: boolean;
  /** Of the vxlan backend: peers on the same segment are routed to without the tunnel. */
  readonly directRouting: boolean;
  /** What it leases subnets from, as it says it; undefined where it names none. */
  readonly networks: Readonly<Record<IpFamily, string | undefined>>;
}

const NO_FACTS: NetworkFacts = {
  backend: undefined,
  dualStack: false,
  directRouting: false,
  networks: { ipv4: undefined, ipv6: undefined },
};

/** Never throws: a broken config is a case to test the agent with. */
export function readNetworkFacts(text: string): NetworkFacts {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) {
      return NO_FACTS;
    }
    throw error;
  }
  const backend = textOf(memberOf(memberOf(config, "backend"), "type"));
  return {
    backend: backend?.toLowerCase(),
    dualStack: memberOf(config, "enableipv6") === true,
    directRouting: memberOf(memberOf(config, "backend"), "directrouting") === true,
    networks: {
      ipv4: textOf(memberOf(config, "network")),
      ipv6: textOf(memberOf(config, "ipv6network")),
    },
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A member by its name in lower case: the agents match names without regard to case. */
function memberOf(value: unknown, lowerCaseName: string): unknown {
  if (typeof value !== "object" || value === null) {
    return undefined;
  }
  return Object.entries(value).findLast(([name]) => name.toLowerCase() === lowerCaseName)?.[1];
}

/** Reads `key=value` of `--backend-option`; the value is JSON when it parses, else a string. */
export function parseBackendOption(text: string): [string, unknown] {
  const equals = text.indexOf("=");
  if (equals < 1) {
    throw new LabError("usage", `--backend-option wants key=value, not "${text}"`);
  }
  const value = text.slice(equals + 1);
  try {
    return [text.slice(0, equals), JSON.parse(value)];
  } catch (error) {
    if (error instanceof SyntaxError) {
      return [text.slice(0, equals), value];
    }
    throw error;
  }
}
