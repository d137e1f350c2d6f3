/** What a fault of one kind is. */
import type { FaultContext } from "./fault-context.ts";
import type { Fault, FaultKind } from "./plan.ts";
import type { Machine } from "./world.ts";

/** Does it, to a node where it is about one. Whether it struck in a way that could be seen. */
export type Strike = (context: FaultContext, fault: Fault, node: Machine) => boolean;

export type Strikes<Kind extends FaultKind> = Readonly<Record<Kind, Strike>>;
