import { checkAgentHosts } from "../agent-commands.ts";
import { LabError } from "../errors.ts";
import { requirementsOfDriver } from "../hosts/registry.ts";
import { failedPairs, type Progress, type UpReport } from "../lab.ts";
import { launchLab } from "../launch.ts";
import { type NetworkWishes, parseBackendOption } from "../network-config.ts";
import { EXPECTATIONS, labOptions, type LabOptions } from "../options.ts";
import { COMPILER_REQUIREMENTS, ensureRequirements, LAB_REQUIREMENTS } from "../requirements.ts";
import { readState } from "../state.ts";
import { readText } from "../system/files.ts";
import { defaultFlanneld } from "../own-agent.ts";
import { workingDirectory } from "../system/machine.ts";
import { outerProcessIds } from "../system/process-table.ts";
import { interruptSignal, type Terminal } from "../system/terminal.ts";
import { planTopology } from "../topology.ts";
import type { Command } from "./command.ts";
import {
  DRIVER_FLAG,
  driverOf,
  FLANNELD_FLAG,
  JSON_FLAG,
  NAME_FLAG,
  type ParsedFlags,
  parseFlags,
} from "./flags.ts";
import { runDirectoryOf } from "./open-lab.ts";
import { formatNodes, nodeDocument } from "./status-text.ts";

export const up: Command = {
  name: "up",
  usage: "[FLAGS]",
  summary: "Makes a cluster of network namespaces and waits until all pods reach all pods.",
  flags: {
    nodes: { type: "string", value: "N", help: "hosts (default 3)" },
    segments: {
      type: "string",
      value: "K",
      help: "layer 2 segments with a router between (default 1)",
    },
    "store-members": {
      type: "string",
      value: "M",
      help: "members of the etcd cluster (default 1)",
    },
    "store-auth": { type: "boolean", help: "etcd knows its users; agents are given one" },
    backend: {
      type: "string",
      value: "TYPE",
      help: "flannel backend: vxlan, host-gw, … (default vxlan)",
    },
    "backend-option": {
      type: "string",
      multiple: true,
      value: "KEY=VALUE",
      help: "member of the Backend object; the value is JSON when it parses",
    },
    "direct-routing": { type: "boolean", help: "same as --backend-option DirectRouting=true" },
    family: { type: "string", value: "v4|dual", help: "IPv4 only, or IPv4 and IPv6 (default v4)" },
    network: { type: "string", value: "CIDR", help: "the pod network (default 10.244.0.0/16)" },
    "subnet-len": { type: "string", value: "BITS", help: "prefix length of each node's subnet" },
    "net-conf": {
      type: "string",
      value: "FILE",
      help: "put this text in the store instead of the five above",
    },
    flanneld: FLANNELD_FLAG,
    expect: {
      type: "string",
      value: EXPECTATIONS.join("|"),
      help: "which pods must reach each other (default all)",
    },
    driver: DRIVER_FLAG,
    name: NAME_FLAG,
    timeout: { type: "string", value: "SECONDS", help: "give up after this long (default 60)" },
    "no-install": { type: "boolean", help: "do not install missing system packages" },
    "keep-on-fail": { type: "boolean", help: "leave a lab that failed running" },
    json: JSON_FLAG,
  },
  run: async (argv, terminal) => {
    const flags = parseFlags(up, argv, { maxPositionals: 0 });
    const runDirectory = runDirectoryOf(flags);
    const options = optionsOf(flags);
    const say = (progress: Progress): void => {
      if (!flags.isOn("json")) {
        terminal.out(formatProgress(progress, terminal.isInteractive));
      }
    };
    const checked = await ensureRequirements({
      install: !flags.isOn("no-install"),
      requirements: [
        ...LAB_REQUIREMENTS,
        ...COMPILER_REQUIREMENTS,
        ...requirementsOfDriver(options.driver),
      ],
      say: terminal.error,
    });
    say({ step: "doctor", ...checked });
    const interrupt = interruptSignal();
    try {
      const launched = await launchLab(options, runDirectory, {
        signal: interrupt.signal,
        keepOnFail: flags.isOn("keep-on-fail"),
        onProgress: say,
      });
      launched.release();
      printReport(options, runDirectory, launched.report, flags.isOn("json"), terminal);
      return 0;
    } finally {
      interrupt.release();
    }
  },
};

const NETWORK_FLAGS = ["backend", "backend-option", "family", "network", "subnet-len"];

function optionsOf(flags: ParsedFlags): LabOptions {
  const nodes = flags.number("nodes");
  const segments = flags.number("segments");
  const storeMembers = flags.number("store-members");
  const expect = EXPECTATIONS.find((candidate) => candidate === flags.text("expect"));
  const timeoutSeconds = flags.number("timeout");
  const name = flags.text("name");
  const driver = driverOf(flags);
  const networkConfigText = networkConfigTextOf(flags);
  if (expect === undefined && flags.text("expect") !== undefined) {
    throw new LabError("usage", `--expect wants one of ${EXPECTATIONS.join(", ")}`);
  }
  const options = labOptions(
    {
      ...networkWishesOf(flags),
      ...(name === undefined ? {} : { name }),
      ...(driver === undefined ? {} : { driver }),
      ...(nodes === undefined ? {} : { nodes }),
      ...(segments === undefined ? {} : { segments }),
      ...(storeMembers === undefined ? {} : { storeMembers }),
      ...(networkConfigText === undefined ? {} : { networkConfigText }),
      storeAuth: flags.isOn("store-auth"),
      flanneld: flags.texts("flanneld"),
      ...(expect === undefined ? {} : { expect }),
      ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    },
    { flanneld: defaultFlanneld(), workingDirectory: workingDirectory() },
  );
  checkAgentHosts(options.agents, hostNames(options), "the lab");
  return options;
}

function hostNames(options: LabOptions): readonly string[] {
  return planTopology(options).hosts.map(({ name }) => name);
}

function networkWishesOf(flags: ParsedFlags): NetworkWishes {
  const family = flags.text("family") ?? "v4";
  if (family !== "v4" && family !== "dual") {
    throw new LabError("usage", `--family wants v4 or dual, not "${family}"`);
  }
  const backend = flags.text("backend");
  const network = flags.text("network");
  const subnetLength = flags.number("subnet-len");
  return {
    dualStack: family === "dual",
    ...(backend === undefined ? {} : { backend }),
    ...(network === undefined ? {} : { network }),
    ...(subnetLength === undefined ? {} : { subnetLength }),
    backendOptions: {
      ...Object.fromEntries(flags.texts("backend-option").map(parseBackendOption)),
      ...(flags.isOn("direct-routing") ? { DirectRouting: true } : {}),
    },
  };
}

function networkConfigTextOf(flags: ParsedFlags): string | undefined {
  const file = flags.text("net-conf");
  if (file === undefined) {
    return undefined;
  }
  const other = NETWORK_FLAGS.find((name) => flags.texts(name).length > 0);
  if (other !== undefined || flags.isOn("direct-routing")) {
    throw new LabError("usage", `--net-conf says it all: leave out --${other ?? "direct-routing"}`);
  }
  const text = readText(file);
  if (text === undefined) {
    throw new LabError("usage", `--net-conf: there is no file ${file}`);
  }
  return text;
}

const GREEN_MARK = "\u001B[32m✓\u001B[39m";

/** For a person the marks are green and the times line up; anything else gets plain lines. */
function formatProgress({ step, detail, ms }: Progress, forPerson: boolean): string {
  const seconds = `${(ms / 1000).toFixed(2)} s`;
  return forPerson
    ? `${GREEN_MARK} ${step.padEnd(8)} ${detail.padEnd(56)} ${seconds.padStart(8)}\n`
    : `✓ ${step}: ${detail}, ${seconds}\n`;
}

function printReport(
  options: LabOptions,
  runDirectory: string,
  report: UpReport,
  asJson: boolean,
  terminal: Terminal,
): void {
  const outer = outerProcessIds(readState(runDirectory)?.lab?.init.pid ?? 0);
  const { status, steps, ping, ms } = report;
  if (!asJson) {
    terminal.out(
      `${formatNodes(status, outer)}lab "${options.name}" is up in ${(ms / 1000).toFixed(2)} s, run directory ${runDirectory}\n`,
    );
    return;
  }
  const document = {
    name: options.name,
    runDirectory,
    store: { endpoint: status.store.endpoint, version: status.store.version },
    nodes: status.hosts.map((host) => nodeDocument(host, outer)),
    seconds: ms / 1000,
    steps: steps.map(({ step, ms: stepMs }) => ({ step, seconds: stepMs / 1000 })),
    ping: { pairs: ping.pairs.length, failed: failedPairs(ping).length },
  };
  terminal.out(`${JSON.stringify(document, undefined, 2)}\n`);
}
