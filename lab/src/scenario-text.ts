import { formatRequest, requestOfStep } from "./faults/request.ts";
import type { Step, Variant } from "./scenario.ts";
import type { ScenarioResult } from "./scenario-result.ts";

const MARKS = { pass: "✓", fail: "✗", unknown: "?" } as const;

/** `vxlan dual, 2 segments, DirectRouting=true` */
export function formatVariant(variant: Variant): string {
  const options = Object.entries(variant.backendOptions ?? {}).map(
    ([name, value]) => `${name}=${JSON.stringify(value)}`,
  );
  const segments = variant.segments === 1 ? "1 segment" : `${variant.segments} segments`;
  return [`${variant.backend} ${variant.family}`, segments, ...options].join(", ");
}

/** `expect pods-reach-each-other`, `fault kill-agent n1` */
export function formatStep(step: Step): string {
  if ("probe" in step) {
    return step.probe === "start" ? `probe n${step.from} → n${step.to}` : "probe stop";
  }
  if ("expect" in step) {
    return `expect ${step.expect}`;
  }
  if ("fault" in step) {
    const lasting = step.forMs === undefined ? "" : ` for ${step.forMs} ms`;
    return `fault ${formatRequest(requestOfStep(step))}${lasting}`;
  }
  return "node" in step ? `act ${step.act} n${step.node}` : `act ${step.act}`;
}

/** One line a run; below it what was measured, and the steps that did not pass with what was seen. */
export function formatResult(result: ScenarioResult): string {
  const seconds = (result.ms / 1000).toFixed(1);
  const head = `${MARKS[result.verdict]} ${result.scenario} (${formatVariant(result.variant)}) ${seconds} s`;
  const failed = result.steps.filter((step) => step.finding.verdict !== "pass");
  const measured = result.steps.filter(
    ({ finding }) => finding.verdict === "pass" && finding.measured !== undefined,
  );
  return [
    head,
    ...result.reasons.map((reason) => `  ${reason}`),
    ...measured.flatMap(({ finding }) => finding.details.map((line) => `    ${line}`)),
    ...failed.flatMap(({ step, finding }) => [
      `  ${MARKS[finding.verdict]} ${formatStep(step)}`,
      ...finding.details.map((line) => `    ${line}`),
    ]),
  ].join("\n");
}
