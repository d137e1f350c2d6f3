/** What `deploy/` holds for Prometheus and Grafana. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly description: string };
}

export const RULES_FOLDER: string = fileURLToPath(
  new URL("../../../deploy/prometheus", import.meta.url),
);

export function alertRules(): readonly AlertRule[] {
  const { groups } = parse(deployed("prometheus/flannel.rules.yaml")) as {
    groups: { rules: AlertRule[] }[];
  };
  return groups.flatMap(({ rules }) => rules);
}

export interface Panel {
  readonly title: string;
  readonly targets: readonly { readonly expr: string }[];
}

export function dashboardPanels(): readonly Panel[] {
  const { panels } = JSON.parse(deployed("grafana/flannel.json")) as { panels: Panel[] };
  return panels;
}

/** Every expression, with Grafana's variables filled in as it would. */
export function deployedExpressions(): readonly string[] {
  return [
    ...alertRules().map(({ expr }) => expr),
    ...dashboardPanels().flatMap(({ targets }) =>
      targets.map(({ expr }) =>
        expr.replaceAll("$__rate_interval", "5m").replaceAll("$instance", ".*"),
      ),
    ),
  ];
}

function deployed(path: string): string {
  return readFileSync(new URL(`../../../deploy/${path}`, import.meta.url), "utf8");
}
