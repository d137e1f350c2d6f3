import { HOST_DRIVERS, type HostDriverName, type LabOptions } from "./options.ts";
import { runFiles } from "./run-directory.ts";
import { readText, writeText } from "./system/files.ts";
import { isSameProcess, type ProcessIdentity } from "./system/process-table.ts";

/** lab.json: what the command line needs to find a lab again, or to see that it is gone. */
export interface LabState {
  readonly id: string;
  readonly options: LabOptions;
  readonly createdAt: string;
  /** The `lab up` that makes it; its death before `lab` is set means that there is no lab. */
  readonly maker: ProcessIdentity;
  readonly lab?: {
    /** The outer end of the PID namespace: killing it ends the lab. */
    readonly unshare: ProcessIdentity;
    /** PID 1 of the lab. */
    readonly init: ProcessIdentity;
    readonly supervisor: ProcessIdentity;
    readonly usesUserNamespace: boolean;
  };
}

/** Undefined when there is no such file, or none that this program wrote. */
export function readState(runDirectory: string): LabState | undefined {
  const text = readText(runFiles(runDirectory).state);
  if (text === undefined) {
    return undefined;
  }
  try {
    const value: unknown = JSON.parse(text);
    return isLabState(value) ? withDriver(value) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}

export function writeState(runDirectory: string, state: LabState): void {
  writeText(runFiles(runDirectory).state, `${JSON.stringify(state, undefined, 2)}\n`);
}

/**
 * Whether anybody looks after the run directory: the supervisor, or the command that made the lab and reads it afterwards. What
 * else of a lab still runs without its supervisor is about to end.
 */
export function isTended({ maker, lab }: LabState): boolean {
  return [maker, ...(lab === undefined ? [] : [lab.supervisor])].some(isSameProcess);
}

/** Whether the lab runs or is being made. */
export function isAlive(state: LabState): boolean {
  return isSameProcess(state.lab?.init ?? state.maker);
}

/** What labs of before there were drivers have, so that what they left can be collected. */
const FIRST_DRIVER: HostDriverName = "netns";

function withDriver(state: LabState): LabState {
  const { driver = FIRST_DRIVER } = state.options as Partial<LabOptions>;
  return { ...state, options: { ...state.options, driver } };
}

/**
 * Other programs may have a lab.json, too, and so do labs of other versions: what one with a driver that is not known here has left on the
 * machine is not known either.
 */
function isLabState(value: unknown): value is LabState {
  if (typeof value !== "object" || value === null || !("id" in value) || !("maker" in value)) {
    return false;
  }
  const options =
    "options" in value && typeof value.options === "object" && value.options !== null
      ? value.options
      : {};
  const name: unknown = Reflect.get(options, "name");
  const driver: unknown = Reflect.get(options, "driver") ?? FIRST_DRIVER;
  const processes = [
    value.maker,
    ...("lab" in value && typeof value.lab === "object" && value.lab !== null
      ? ["unshare", "init", "supervisor"].map((part) => Reflect.get(value.lab as object, part))
      : []),
  ];
  return (
    typeof value.id === "string" &&
    typeof name === "string" &&
    HOST_DRIVERS.some((known) => known === driver) &&
    processes.every(isProcessIdentity)
  );
}

function isProcessIdentity(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    ["pid:number", "startTime:string", "bootId:string"].every((member) => {
      const [key = "", type] = member.split(":");
      return typeof Reflect.get(value, key) === type;
    })
  );
}
