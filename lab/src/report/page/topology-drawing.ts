import type { TopologySeen } from "../events.ts";
import { escapeMarkup } from "../markup.ts";
import { at, cut, drawing, group } from "./drawing.ts";

const NODE_WIDTH = 132;
const NODE_HEIGHT = 46;
const GAP = 16;
const SEGMENT_HEIGHT = 118;
const NODES_IN_A_ROW = 7;
const LEFT = 190;
const WIDTH: number = LEFT + NODES_IN_A_ROW * (NODE_WIDTH + GAP) + GAP;

interface Node {
  readonly name: string;
  readonly lines: readonly string[];
}

/**
 * Segments as thick lines with what is plugged in below them, and the router that joins them to the left:
 *
 *     router ─┬─ seg1 ━━━━━━━━━━━━
 *             │          │      │
 *             │        etcd    n1
 *             └─ seg2 ━━━━━━━━━━━━
 */
export function drawTopology(topology: TopologySeen): string {
  let y = 30;
  const parts: string[] = [];
  const buses: number[] = [];
  for (const segment of topology.segments) {
    const nodes = nodesOn(topology, segment.name);
    const rows = Math.max(1, Math.ceil(nodes.length / NODES_IN_A_ROW));
    buses.push(y);
    parts.push(
      `<line class="bus" x1="${LEFT}" x2="${WIDTH - GAP}" y1="${y}" y2="${y}"/>`,
      `<text x="${LEFT}" y="${y - 8}">${escapeMarkup(segment.name)} <tspan class="small">${escapeMarkup(segment.addresses.join(", "))}</tspan></text>`,
      ...nodes.map((node, index) => drawNode(node, index, y)),
    );
    y += SEGMENT_HEIGHT + (rows - 1) * (NODE_HEIGHT + GAP);
  }
  return drawing(
    `Topology: ${topology.hosts.length} hosts on ${topology.segments.length} segments`,
    WIDTH,
    y,
    [...drawRouter(buses), ...parts],
  );
}

function nodesOn(topology: TopologySeen, segment: string): readonly Node[] {
  const { store, hosts } = topology;
  return [
    ...(store.segment === segment ? membersOf(store) : []),
    ...hosts
      .filter((host) => host.segment === segment)
      .map(({ name, publicIps }) => ({ name, lines: publicIps })),
  ];
}

function membersOf({ name, endpoint }: TopologySeen["store"]): readonly Node[] {
  return endpoint.split(",").map((url, index) => ({
    name: index === 0 ? name : `${name}${index + 1}`,
    lines: [url.replace(/^\w+:\/\//, "")],
  }));
}

function drawNode({ name, lines }: Node, index: number, busY: number): string {
  const row = Math.floor(index / NODES_IN_A_ROW);
  const x = LEFT + GAP + (index % NODES_IN_A_ROW) * (NODE_WIDTH + GAP);
  const y = busY + 22 + row * (NODE_HEIGHT + GAP);
  const middle = x + NODE_WIDTH / 2;
  return group([name, ...lines].join(" "), [
    row === 0
      ? `<line class="line" x1="${at(middle)}" x2="${at(middle)}" y1="${busY}" y2="${y}"/>`
      : "",
    `<rect class="node" x="${x}" y="${y}" width="${NODE_WIDTH}" height="${NODE_HEIGHT}" rx="6"/>`,
    `<text x="${at(middle)}" y="${y + 17}" text-anchor="middle">${escapeMarkup(cut(name, 16))}</text>`,
    ...lines
      .slice(0, 2)
      .map(
        (line, number) =>
          `<text class="small" x="${at(middle)}" y="${y + 30 + 12 * number}" text-anchor="middle">${escapeMarkup(cut(line, 21))}</text>`,
      ),
  ]);
}

/** One segment needs no router. */
function drawRouter(buses: readonly number[]): readonly string[] {
  const [first, last] = [buses[0], buses.at(-1)];
  if (first === undefined || last === undefined || buses.length < 2) {
    return [];
  }
  const [x, y] = [130, (first + last) / 2];
  return [
    ...buses.map(
      (bus) => `<polyline class="line" points="${x},${at(y)} ${x},${bus} ${LEFT},${bus}"/>`,
    ),
    `<rect class="node" x="${x - 45}" y="${at(y - 16)}" width="90" height="32" rx="16"/>`,
    `<text x="${x}" y="${at(y + 4)}" text-anchor="middle">router</text>`,
  ];
}
