import type { LabGraph, Way } from "./lab-graph.ts";

/** A line of the drawing: two ways that are alike and whole are one, with a head at both ends. */
export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly isBoth: boolean;
  readonly state: Way["state"];
  readonly carrier: string;
  /** `vxlan`, or what is wrong. */
  readonly label: string;
  readonly lines: readonly string[];
}

export function edgesOf({ ways }: LabGraph): Edge[] {
  const paired = new Set<Way>();
  return ways.flatMap((way) => {
    if (paired.has(way)) {
      return [];
    }
    const back = ways.find(({ from, to }) => from === way.to && to === way.from);
    const isBoth = back !== undefined && isAlike(way, back);
    if (isBoth) {
      paired.add(back);
    }
    const { from, to, state, carrier } = way;
    const lines = [way, ...(isBoth ? [back] : [])].flatMap((one) =>
      one.lines.map((line) => `${one.from}: ${line}`),
    );
    return [{ from, to, isBoth, state, carrier, label: labelOf(way), lines }];
  });
}

/** Everything that a reader must not miss, a line each. */
export function troublesOf({ ways, hosts }: LabGraph): string[] {
  return [
    ...ways
      .filter(({ state }) => state !== "whole")
      .map(({ from, to, state, faults }) => `${from} → ${to} ${state}: ${faults.join("; ")}`),
    ...hosts.flatMap(({ name, others }) => others.map((line) => `${name} also holds: ${line}`)),
  ];
}

function isAlike(a: Way, b: Way): boolean {
  return a.state === "whole" && b.state === "whole" && a.carrier === b.carrier;
}

function labelOf({ state, carrier, faults }: Way): string {
  if (state === "whole") {
    return carrier;
  }
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
  return `${state}: ${faults[0] ?? ""}${more}`;
}
