import { edgesOf, type Edge, troublesOf } from "./edges.ts";
import type { GraphHost, LabGraph } from "./lab-graph.ts";

const STROKES: Readonly<Record<Edge["state"], string>> = {
  whole: "#2a6fb0",
  missing: "#b3261e",
  wrong: "#8a5a00",
};

/** A flowchart for Markdown. Source: mermaid.js.org, syntax of flowcharts. */
export function formatMermaid(graph: LabGraph): string {
  const edges = edgesOf(graph);
  const quoted = (text: string): string => `"${text.replaceAll('"', "#quot;")}"`;
  const lines = [
    "flowchart LR",
    ...graph.segments.flatMap(({ networks, hosts }, index) => [
      `  subgraph segment${index + 1}[${quoted(networks.join(" ") || "no address")}]`,
      ...hostsNamed(graph, hosts).map(
        (host) => `    ${host.name}[${quoted(hostLines(host).join("<br/>"))}]`,
      ),
      "  end",
    ]),
    ...edges.map(({ from, to, isBoth, state, label }) => {
      const arrow = state !== "whole" ? "-.->" : isBoth ? "<-->" : "-->";
      return `  ${from} ${arrow}|${quoted(label)}| ${to}`;
    }),
    ...edges.flatMap(({ state }, index) =>
      state === "whole" ? [] : [`  linkStyle ${index} stroke:${STROKES[state]}`],
    ),
    ...troublesOf(graph).map((trouble) => `  %% ${trouble}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** For graphviz: `lab graph --format dot | dot -Tpdf`. Source: graphviz.org, the DOT language. */
export function formatDot(graph: LabGraph): string {
  const quoted = (text: string): string => JSON.stringify(text);
  const lines = [
    "digraph lab {",
    '  graph [layout="fdp"];',
    '  node [shape="box"];',
    ...graph.segments.flatMap(({ networks, hosts }, index) => [
      `  subgraph cluster_${index + 1} {`,
      `    label=${quoted(networks.join(" ") || "no address")};`,
      ...hostsNamed(graph, hosts).map(
        (host) => `    ${host.name} [label=${quoted(hostLines(host).join("\n"))}];`,
      ),
      "  }",
    ]),
    ...edgesOf(graph).map(({ from, to, isBoth, state, label }) => {
      const style = state === "whole" ? "" : ', style="dashed"';
      const direction = isBoth ? ', dir="both"' : "";
      return `  ${from} -> ${to} [label=${quoted(label)}, color="${STROKES[state]}"${style}${direction}];`;
    }),
    ...troublesOf(graph).map((trouble) => `  // ${trouble}`),
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

/** What is written in the box of a host. */
export function hostLines({ name, addresses, podSubnets }: GraphHost): string[] {
  return [
    name,
    ...addresses,
    ...(podSubnets.length === 0 ? ["no pods"] : podSubnets.map((subnet) => `pods ${subnet}`)),
  ];
}

function hostsNamed(graph: LabGraph, names: readonly string[]): readonly GraphHost[] {
  return graph.hosts.filter(({ name }) => names.includes(name));
}
