/** Short scenarios for tests of the player. */
import type { Scenario, Step, Variant } from "lab/scenario";
import { type Played, playScenario } from "./play-scenario.ts";

export const VXLAN: Variant = { backend: "vxlan", family: "dual", segments: 1 };
export const HOST_GW: Variant = { backend: "host-gw", family: "v4", segments: 1 };

/** What is wrong with a run, an invariant each where one is known. */
export function wrongsOf({ failure, violations }: Played): readonly string[] {
  const ids = violations.map(({ id, detail }) => `${id}: ${detail}`);
  if (failure === undefined) return ids;
  const { invariant, step, text, details } = failure;
  return [`${invariant}: step ${step}, ${text}: ${details.join("; ")}`, ...ids];
}

export function story(...steps: readonly Step[]): Scenario {
  return { name: "story", why: "", invariants: [], nodes: 3, variants: [], steps };
}

export function play(steps: readonly Step[], variant: Variant = VXLAN): Promise<Played> {
  return playScenario(story(...steps), variant, { seed: 1 });
}
