import type { Fault, FaultName } from "lab/scenario";
import type { Cure, Ground } from "./ground.ts";

export type FaultOf<Name extends FaultName> = Fault & { readonly fault: Name };

/** What a fault of a scenario is in the simulated world. */
export interface FaultWord<Name extends FaultName> {
  /** Why it cannot be played with these parameters; undefined when it can. */
  whyNot?(fault: FaultOf<Name>): string | undefined;
  /** Does it, seen to have an effect. @throws StepFailed when it has none */
  strike(ground: Ground, fault: FaultOf<Name>): Cure | Promise<Cure>;
}

/** Of each either how it is done, or why there is no such thing here. */
export type FaultWords<Name extends FaultName> = {
  readonly [One in Name]: FaultWord<One> | string;
};
