/** Every word of a scenario, and whether it exists in the simulated world. A new word is decided here, or the types do not hold. */
import type { Fault, FaultName, FaultStep, Scenario, Step, Variant } from "lab/scenario";
import { MAX_SEGMENTS } from "../underlay.ts";
import { AGENT_WORDS } from "./agent-words.ts";
import { castOf } from "./cast.ts";
import type { FaultWord, FaultWords } from "./fault-word.ts";
import type { Cure, Ground } from "./ground.ts";
import { KERNEL_WORDS } from "./kernel-words.ts";
import { LOOKS } from "./looks.ts";
import { NETWORK_WORDS } from "./network-words.ts";
import { STORE_WORDS } from "./store-words.ts";

export const FAULTS: FaultWords<FaultName> = {
  ...AGENT_WORDS,
  ...KERNEL_WORDS,
  ...NETWORK_WORDS,
  ...STORE_WORDS,
};
const ACTS: Readonly<Record<Extract<Step, { act: string }>["act"], true>> = {
  "start-agent": true,
  "add-node": true,
  "remove-node": true,
  "return-node": true,
  heal: true,
  "remember-subnets": true,
};
const PROBES: Readonly<Record<Extract<Step, { probe: string }>["probe"], true>> = {
  start: true,
  stop: true,
};
const EXPECTATIONS = new Set([...Object.keys(LOOKS), "repaired"]);
/** All is checked after each event: fifty nodes take longer than all other scenarios together. The plans have ten, and start them at once. */
const MAX_CAST = 20;
/** Members of the `Backend` object beside `Type` that expected-kernel.ts knows. */
const BACKEND_OPTIONS = new Set(["DirectRouting"]);

/** The backend of a variant, where the simulated world knows what kernels look like with it. */
export function backendOf({ backend }: Variant): "vxlan" | "host-gw" | undefined {
  return backend === "vxlan" || backend === "host-gw" ? backend : undefined;
}

/** Why a variant cannot be played as it is; undefined when it can. Files of scenarios come from anywhere: their types are gone. */
export function whyNotPlayable(scenario: Scenario, variant: Variant): string | undefined {
  return (
    whyNotVariant(variant) ??
    whyNotCast(scenario) ??
    scenario.steps.map((step) => whyNotStep(step)).find((why) => why !== undefined)
  );
}

function whyNotCast(scenario: Scenario): string | undefined {
  const nodes = castOf(scenario);
  return nodes > MAX_CAST ? `${nodes} nodes: more than ${MAX_CAST} take too long` : undefined;
}

export function whyNotStep(step: Step): string | undefined {
  if ("fault" in step) return whyNotFault(step);
  if ("expect" in step) return EXPECTATIONS.has(step.expect) ? undefined : unknown(step.expect);
  if ("act" in step) return Object.hasOwn(ACTS, step.act) ? undefined : unknown(step.act);
  return Object.hasOwn(PROBES, step.probe) ? undefined : unknown(`probe ${step.probe}`);
}

/** Does a fault that can be played. @throws StepFailed when it has no effect */
export async function strike(ground: Ground, fault: Fault): Promise<Cure> {
  const word = wordOf(fault.fault);
  if (word === undefined || typeof word === "string") throw new Error(`${fault.fault} is no word`);
  return word.strike(ground, fault);
}

function whyNotFault(step: FaultStep): string | undefined {
  const word = wordOf(step.fault);
  if (word === undefined) return unknown(step.fault);
  const why = typeof word === "string" ? word : word.whyNot?.(step);
  return why === undefined ? undefined : `${step.fault}: ${why}`;
}

/** Each word takes the step of its own name, which the table cannot say of any name. */
function wordOf(name: FaultName): FaultWord<FaultName> | string | undefined {
  return Object.hasOwn(FAULTS, name) ? FAULTS[name] : undefined;
}

function whyNotVariant(variant: Variant): string | undefined {
  const { backend, segments, backendOptions = {} } = variant;
  if (backendOf(variant) === undefined) return `backend ${backend}`;
  if (segments > MAX_SEGMENTS) return `${segments} segments`;
  const option = Object.keys(backendOptions).find((name) => !BACKEND_OPTIONS.has(name));
  return option === undefined ? undefined : `backend option ${option}`;
}

function unknown(word: string): string {
  return `${word}: no such word`;
}
