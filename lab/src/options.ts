import type { IpFamily } from "./addresses.ts";
import { type AgentCommands, parseAgentCommands } from "./agent-commands.ts";
import { LabError } from "./errors.ts";
import { type NetworkWishes, formatNetworkConfig, readNetworkFacts } from "./network-config.ts";

/** Which pod pairs must reach each other for the lab to be up. */
export const EXPECTATIONS = ["all", "same-segment", "none"] as const;
export type Expectation = (typeof EXPECTATIONS)[number];

/** What hosts are made of: namespaces over the machine's own files, or Docker containers. */
export const HOST_DRIVERS = ["netns", "container"] as const;
export type HostDriverName = (typeof HOST_DRIVERS)[number];

/** What a caller may ask of a lab; everything has a default. */
export interface LabWishes extends NetworkWishes {
  readonly name?: string;
  readonly driver?: HostDriverName;
  readonly nodes?: number;
  readonly segments?: number;
  readonly storeMembers?: number;
  readonly storeAuth?: boolean;
  /** Verbatim text for the store, instead of what `NetworkWishes` would give. */
  readonly networkConfigText?: string;
  /** Each value of `--flanneld`, in their order: `CMD` or `NAME=CMD`, shell-like words. */
  readonly flanneld?: readonly string[];
  readonly expect?: Expectation;
  readonly timeoutSeconds?: number;
  readonly watch?: WatchWish;
}

/** That a run in the lab is to be watched by witnesses from its first moment on. */
export interface WatchWish {
  /** Where the evidence of violations goes: the run's own folder. */
  readonly folder: string;
  /** When the run began, in milliseconds of the clock that all processes of the machine share. */
  readonly beganMs: number;
}

/** A lab with every choice made; plain data, so that it crosses processes. */
export interface LabOptions {
  readonly name: string;
  readonly driver: HostDriverName;
  readonly nodes: number;
  readonly segments: number;
  /** Of etcd: one, or three and more for faults that a cluster of them lives through. */
  readonly storeMembers: number;
  /** Whether it knows its users, and refuses others. */
  readonly storeAuth: boolean;
  readonly families: readonly IpFamily[];
  readonly networkConfigText: string;
  readonly agents: AgentCommands;
  /** Where the agents are started: the caller's own directory, so that relative paths mean what they say. */
  readonly workingDirectory: string;
  readonly expect: Expectation;
  /** For `up`, from its start to the last pair that answers. */
  readonly timeoutMs: number;
  /** Absent in a lab that no run is judged by. */
  readonly watch?: WatchWish;
}

/** What the machine and the caller's shell decide. */
export interface OptionDefaults {
  /** The agent of hosts for which none is wished. */
  readonly flanneld: readonly string[];
  readonly workingDirectory: string;
}

/** Beside the labs' directories: what `lab run` keeps of its runs. */
export const RUNS_FOLDER = "runs";

const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;
/** Hosts are 172.31.SEGMENT.11 onwards in a /24. */
export const MAX_NODES = 240;
const MAX_SEGMENTS = 16;
export const MAX_STORE_MEMBERS = 5;
const MAX_TIMEOUT_SECONDS = 86_400;
const DEFAULT_TIMEOUT_SECONDS = 60;
const DEFAULT_NODES = 3;

/**
 * Fills in the defaults and refuses what cannot work.
 * @throws LabError "usage"
 */
export function labOptions(wishes: LabWishes, defaults: OptionDefaults): LabOptions {
  const networkConfigText = wishes.networkConfigText ?? formatNetworkConfig(wishes);
  const facts = readNetworkFacts(networkConfigText);
  const segments = wholeNumber("--segments", wishes.segments ?? 1, MAX_SEGMENTS);
  const expect = wishes.expect ?? "all";
  if (facts.backend === "host-gw" && segments > 1 && expect === "all") {
    throw new LabError(
      "usage",
      "host-gw routes to the next host directly and cannot cross segments: use --segments 1, or --expect same-segment",
    );
  }
  return {
    name: checkLabName(wishes.name ?? "default"),
    driver: wishes.driver ?? "netns",
    nodes: wholeNumber("--nodes", wishes.nodes ?? DEFAULT_NODES, MAX_NODES),
    segments,
    storeAuth: wishes.storeAuth ?? false,
    storeMembers: wholeNumber("--store-members", wishes.storeMembers ?? 1, MAX_STORE_MEMBERS),
    families: facts.dualStack ? ["ipv4", "ipv6"] : ["ipv4"],
    networkConfigText,
    agents: parseAgentCommands(wishes.flanneld ?? [], defaults.flanneld),
    workingDirectory: defaults.workingDirectory,
    expect,
    timeoutMs:
      1000 *
      wholeNumber(
        "--timeout",
        wishes.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
        MAX_TIMEOUT_SECONDS,
      ),
    ...(wishes.watch === undefined ? {} : { watch: wishes.watch }),
  };
}

/** @throws LabError "usage" unless the name can be a directory's and read well in a message */
export function checkLabName(name: string): string {
  if (!NAME.test(name)) {
    throw new LabError(
      "usage",
      `--name "${name}" is not a lab name: up to 32 of a-z, 0-9 and -, not starting with -`,
    );
  }
  if (name === RUNS_FOLDER) {
    throw new LabError("usage", `--name ${name} is taken: the event logs of lab run are there`);
  }
  return name;
}

function wholeNumber(flag: string, value: number, max: number): number {
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new LabError("usage", `${flag} wants a whole number from 1 to ${max}`);
  }
  return value;
}
