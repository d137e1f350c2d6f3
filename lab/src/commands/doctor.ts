import { examine, type Finding } from "../doctor.ts";
import { formatTable } from "../table.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, parseFlags } from "./flags.ts";

export const doctor: Command = {
  name: "doctor",
  usage: "[FLAGS]",
  summary:
    "Tries what this machine can and cannot do, with remedies. Exits with 1 when lab up cannot work.",
  flags: { json: JSON_FLAG },
  run: async (argv, terminal) => {
    const flags = parseFlags(doctor, argv, { maxPositionals: 0 });
    const findings = await examine();
    const ready = findings.every(({ ok, needed }) => ok || !needed);
    terminal.out(
      flags.isOn("json")
        ? `${JSON.stringify({ ready, findings }, undefined, 2)}\n`
        : `${formatFindings(findings)}${ready ? "lab up can work here" : "lab up cannot work here"}\n`,
    );
    return ready ? 0 : 1;
  },
};

/** ✓ can, ✗ cannot and must, - cannot and need not. */
export function formatFindings(findings: readonly Finding[]): string {
  return formatTable(
    findings.map(({ name, needed, ok, detail, remedy }) => [
      ok ? "✓" : needed ? "✗" : "-",
      name,
      ok ? detail : `${detail}; remedy: ${remedy}`,
    ]),
  );
}
