/** Reads PromQL with Prometheus' own grammar, to see what an expression asks for. */
import { parser } from "@prometheus-io/lezer-promql";

export interface Selector {
  readonly metric: string;
  /** Values that must exist, by label: of `a="x"` x, of `a=~"x|y"` x and y. */
  readonly values: ReadonlyMap<string, readonly string[]>;
}

export interface Expression {
  readonly selectors: readonly Selector[];
  /** Labels of `by` and `without`. */
  readonly grouping: readonly string[];
}

/** @throws Error for what is no PromQL */
export function readExpression(text: string): Expression {
  const tree = parser.parse(text);
  const selectors: { metric: string; values: Map<string, readonly string[]> }[] = [];
  const grouping: string[] = [];
  tree.iterate({
    enter: ({ type, from, to, node }) => {
      const said = text.slice(from, to);
      if (type.isError) throw new Error(`no PromQL at ${from}: ${text}`);
      if (type.name === "VectorSelector") selectors.push({ metric: "", values: new Map() });
      const selector = selectors.at(-1);
      if (
        type.name === "Identifier" &&
        node.parent?.name === "VectorSelector" &&
        selector !== undefined
      )
        selector.metric = said;
      if (type.name === "UnquotedLabelMatcher" && selector !== undefined) {
        const [, label = "", operator = "", value = ""] =
          /^(\w+)\s*(=~|!~|!=|=)\s*"(.*)"$/u.exec(said) ?? [];
        if (label === "") throw new Error(`not understood: ${said}`);
        if (operator === "=") selector.values.set(label, [value]);
        if (operator === "=~") selector.values.set(label, value.split("|"));
      }
      if (type.name === "LabelName" && node.parent?.name === "GroupingLabels") grouping.push(said);
    },
  });
  if (selectors.some(({ metric }) => metric === ""))
    throw new Error(`a selector without a metric: ${text}`);
  return { selectors, grouping };
}
