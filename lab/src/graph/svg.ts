import { escapeMarkup } from "../report/markup.ts";
import { at, group } from "../report/page/drawing.ts";
import { type Edge, edgesOf, troublesOf } from "./edges.ts";
import type { GraphHost, LabGraph } from "./lab-graph.ts";
import { hostLines } from "./text-drawings.ts";

/** Units of the view box, which are pixels unless it is scaled. */
const BOX_WIDTH = 178;
const BOX_GAP = 34;
const LINE_HEIGHT = 15;
const BOX_PADDING = 9;
const MIN_RADIUS = 170;
const SEGMENT_GAP = 30;
const MARGIN = 24;
/** Room beside the ring for the networks of a segment. */
const LABEL_WIDTH = 190;
const LEGEND_HEIGHT = 40;
/** Two ways between the same hosts that differ lie beside each other. */
const SIDE_STEP = 7;
const TOP = -Math.PI / 2;
/** Classes of lines in the order of the legend. */
const KINDS: readonly string[] = ["vxlan", "route", "other", "missing", "wrong"];

const STYLE = `
.paper { fill: #fff; } text { fill: #1b1f24; font: 12px system-ui, sans-serif; } .name { font-weight: 600; }
.small { fill: #5b6570; } .box { fill: #fff; stroke: #5b6570; stroke-width: 1.5; } .ring { fill: none; stroke: #d5dae0; stroke-width: 6; }
.spoke { stroke: #d5dae0; stroke-width: 3; } .way { fill: none; stroke-width: 2.5; } .vxlan { stroke: #2a6fb0; }
.route { stroke: #137333; stroke-dasharray: 12 3; } .other { stroke: #8e44ad; stroke-dasharray: 6 3 2 3; }
.missing { stroke: #b3261e; stroke-dasharray: 3 5; } .wrong { stroke: #b3261e; } .trouble { fill: #b3261e; font-weight: 600; }
.mark { font-size: 15px; stroke: #fff; stroke-width: 4; paint-order: stroke; }
`;

interface Point {
  readonly x: number;
  readonly y: number;
}

interface Layout {
  readonly width: number;
  readonly centre: Point;
  readonly radius: number;
  readonly boxHeight: number;
  readonly angles: ReadonlyMap<string, number>;
  readonly places: ReadonlyMap<string, Point>;
}

/**
 * A drawing that needs nothing but itself: hosts on a circle, those of a segment side by side with the segment as an arc behind
 * them, and the ways between their pods as lines across.
 */
export function formatSvg(graph: LabGraph): string {
  const layout = layOut(graph);
  const edges = edgesOf(graph);
  const troubles = troublesOf(graph);
  const ringBottom = layout.centre.y * 2 - LEGEND_HEIGHT;
  const height = ringBottom + LEGEND_HEIGHT + troubles.length * LINE_HEIGHT + MARGIN;
  const content = [
    `<rect class="paper" width="${at(layout.width)}" height="${at(height)}"/>`,
    ...graph.segments.map((_, index) => drawSegment(graph, index, layout)),
    // What is missing or wrong lies on top.
    ...[true, false].flatMap((isWhole) =>
      edges
        .filter(({ state }) => (state === "whole") === isWhole)
        .map((edge) => drawEdge(edge, layout)),
    ),
    ...graph.hosts.map((host) => drawHost(host, layout)),
    drawLegend(edges, layout.width),
    ...troubles.map(
      (trouble, index) =>
        `<text class="trouble" x="${MARGIN}" y="${at(ringBottom + LEGEND_HEIGHT + (index + 0.5) * LINE_HEIGHT)}">${escapeMarkup(trouble)}</text>`,
    ),
  ];
  const label = `${graph.hosts.length} hosts on ${graph.segments.length} segments`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${at(layout.width)}" height="${at(height)}" viewBox="0 0 ${at(layout.width)} ${at(height)}" role="img" aria-label="${label}">
<style>${STYLE}</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse" markerUnits="userSpaceOnUse"><path d="M0 0 8 4 0 8z" fill="context-stroke"/></marker></defs>
${content.join("\n")}
</svg>
`;
}

function layOut(graph: LabGraph): Layout {
  const names = graph.segments.flatMap(({ hosts }) => hosts);
  const around = (names.length * (BOX_WIDTH + BOX_GAP)) / (2 * Math.PI);
  const radius = names.length < 2 ? 0 : Math.max(MIN_RADIUS, around);
  const lines = Math.max(1, ...graph.hosts.map((host) => hostLines(host).length));
  const boxHeight = lines * LINE_HEIGHT + 2 * BOX_PADDING;
  const reach = radius + BOX_WIDTH / 2 + SEGMENT_GAP + MARGIN;
  const sides = graph.segments.length > 1 ? LABEL_WIDTH : 0;
  const centre = { x: reach + sides, y: reach + LEGEND_HEIGHT };
  // Two hosts lie beside each other, three and more begin at the top.
  const first = names.length === 2 ? -Math.PI : TOP;
  const angles = new Map(
    names.map((name, index) => [name, first + (2 * Math.PI * index) / names.length]),
  );
  const places = new Map(
    [...angles].map(([name, angle]) => [name, pointAt(centre, radius, angle)]),
  );
  return { width: 2 * centre.x, centre, radius, boxHeight, angles, places };
}

/** A ring when there is only one, else an arc behind its hosts; its networks are written outside. */
function drawSegment(graph: LabGraph, index: number, layout: Layout): string {
  const { networks, hosts } = graph.segments[index] ?? { networks: [], hosts: [] };
  const { centre, angles, places } = layout;
  const radius = layout.radius + BOX_WIDTH / 2 + SEGMENT_GAP;
  const all = hosts.map((name) => angles.get(name) ?? TOP);
  const share = (2 * Math.PI) / Math.max(1, graph.hosts.length);
  const [begin, end] = [(all[0] ?? TOP) - 0.42 * share, (all.at(-1) ?? TOP) + 0.42 * share];
  const isAlone = graph.segments.length === 1;
  const middle = isAlone ? TOP : (begin + end) / 2;
  const [a, b] = [pointAt(centre, radius, begin), pointAt(centre, radius, end)];
  const isLarge = end - begin > Math.PI ? 1 : 0;
  const ring = isAlone
    ? `<circle class="ring" cx="${at(centre.x)}" cy="${at(centre.y)}" r="${at(radius)}"/>`
    : `<path class="ring" d="M${at(a.x)} ${at(a.y)}A${at(radius)} ${at(radius)} 0 ${isLarge} 1 ${at(b.x)} ${at(b.y)}"/>`;
  const spokes = hosts.map((name) => {
    const [from, to] = [
      places.get(name) ?? centre,
      pointAt(centre, radius, angles.get(name) ?? TOP),
    ];
    return `<line class="spoke" x1="${at(from.x)}" y1="${at(from.y)}" x2="${at(to.x)}" y2="${at(to.y)}"/>`;
  });
  const label = pointAt(centre, radius + 20, middle);
  const side = Math.cos(middle);
  const anchor = side > 0.3 ? "start" : side < -0.3 ? "end" : "middle";
  const text = networks.join(" ") || "no address";
  return group(`segment ${text}: ${hosts.join(" ")}`, [
    ring,
    ...spokes,
    `<text class="small" x="${at(label.x)}" y="${at(label.y + 4)}" text-anchor="${anchor}">${escapeMarkup(text)}</text>`,
  ]);
}

function drawHost(host: GraphHost, { places, boxHeight, centre }: Layout): string {
  const { x, y } = places.get(host.name) ?? centre;
  const top = y - boxHeight / 2;
  const lines = hostLines(host);
  return group([...lines, ...host.others].join("\n"), [
    `<rect class="box" x="${at(x - BOX_WIDTH / 2)}" y="${at(top)}" width="${BOX_WIDTH}" height="${at(boxHeight)}" rx="6"/>`,
    ...lines.map(
      (line, index) =>
        `<text${index === 0 ? ' class="name"' : ""} x="${at(x)}" y="${at(top + BOX_PADDING + (index + 0.75) * LINE_HEIGHT)}" text-anchor="middle">${escapeMarkup(line)}</text>`,
    ),
  ]);
}

function drawEdge(edge: Edge, layout: Layout): string {
  const [from, to] = [edge.from, edge.to].map((name) => layout.places.get(name) ?? layout.centre);
  if (from === undefined || to === undefined) {
    return "";
  }
  const angle = Math.atan2(to.y - from.y, to.x - from.x);
  const step = edge.isBoth ? 0 : SIDE_STEP;
  const aside = { x: -Math.sin(angle) * step, y: Math.cos(angle) * step };
  const begin = borderPoint(from, aside, angle, layout.boxHeight);
  const end = borderPoint(to, aside, angle + Math.PI, layout.boxHeight);
  const start = edge.isBoth ? ' marker-start="url(#head)"' : "";
  const middle = { x: (begin.x + end.x) / 2, y: (begin.y + end.y) / 2 };
  const mark =
    edge.state === "whole"
      ? ""
      : `<text class="trouble mark" x="${at(middle.x)}" y="${at(middle.y + 5)}" text-anchor="middle">${edge.state === "missing" ? "✗" : "≠"}</text>`;
  const arrow = edge.isBoth ? "↔" : "→";
  return group([`${edge.from} ${arrow} ${edge.to}: ${edge.label}`, ...edge.lines].join("\n"), [
    `<line class="way ${classOf(edge)}" x1="${at(begin.x)}" y1="${at(begin.y)}" x2="${at(end.x)}" y2="${at(end.y)}" marker-end="url(#head)"${start}/>`,
    mark,
  ]);
}

/** Only what occurs in the drawing. */
function drawLegend(edges: readonly Edge[], width: number): string {
  const kinds = new Map(
    edges.map((edge) => [classOf(edge), edge.state === "whole" ? edge.carrier : edge.state]),
  );
  const step = Math.min(150, (width - 2 * MARGIN) / Math.max(1, kinds.size));
  return [...kinds]
    .toSorted(([a], [b]) => KINDS.indexOf(a) - KINDS.indexOf(b))
    .map(([kind, name], index) => {
      const x = MARGIN + index * step;
      return `<line class="way ${kind}" x1="${at(x)}" y1="${MARGIN}" x2="${at(x + 36)}" y2="${MARGIN}"/><text x="${at(x + 42)}" y="${MARGIN + 4}">${escapeMarkup(name)}</text>`;
    })
    .join("");
}

function classOf({ state, carrier }: Edge): string {
  if (state !== "whole") {
    return state;
  }
  return carrier === "vxlan" || carrier === "route" ? carrier : "other";
}

function pointAt(centre: Point, radius: number, angle: number): Point {
  return { x: centre.x + radius * Math.cos(angle), y: centre.y + radius * Math.sin(angle) };
}

/** Where a line that begins beside the middle of a box leaves the box. */
function borderPoint(middle: Point, aside: Point, angle: number, boxHeight: number): Point {
  const [x, y] = [Math.cos(angle), Math.sin(angle)];
  const reach = Math.min(
    (BOX_WIDTH / 2 - Math.sign(x) * aside.x) / Math.max(Math.abs(x), 1e-9),
    (boxHeight / 2 - Math.sign(y) * aside.y) / Math.max(Math.abs(y), 1e-9),
  );
  return { x: middle.x + aside.x + reach * x, y: middle.y + aside.y + reach * y };
}
