/** The table of flags for people: `--help`, and docs/flags.md. */
import { FLAGS, OTHER_VARIABLES } from "./flag-table.ts";
import type { FlagRow } from "./flag-table.ts";
import type { FlagType } from "./go-flags.ts";
import { variableName } from "./options.ts";

/** As Go calls them. */
const TYPE_NAMES: Readonly<Record<FlagType, string>> = {
  string: "string",
  boolean: "bool",
  integer: "int",
  list: "value",
};

const REFERENCES = FLAGS.filter(({ ours }) => ours !== true);
const OURS = FLAGS.filter(({ ours }) => ours === true);

/** The text of `--help`. */
export function formatUsage(program: string): string {
  const block = (row: FlagRow): string => {
    const value = row.type === "boolean" ? "" : ` ${TYPE_NAMES[row.type]}`;
    return `  -${row.name}${value}\n        ${describe(row, "")}\n`;
  };
  return [
    `Usage: ${program} [OPTION]...\n`,
    ...REFERENCES.map(block),
    "\nNot in flannel:\n",
    ...OURS.map(block),
    "\nEach flag can be given as a variable: -etcd-prefix is FLANNELD_ETCD_PREFIX. The command line wins.\n",
  ].join("");
}

function describe(row: FlagRow, mark: string): string {
  const refusal = row.missing === undefined ? "" : ` (not here: ${row.missing})`;
  const value = row.fallback === "" ? "" : ` (default ${mark}${row.fallback}${mark})`;
  return `${row.help}${refusal}${value}`;
}

/** docs/flags.md, whole. */
export function formatFlagsPage(): string {
  return [
    HEAD,
    formatTable(REFERENCES.filter(({ missing }) => missing === undefined)),
    "\n## Flags of flannel that are refused\n\n",
    "Known, and taken with their default. Another value is refused with exit code 2 and one line, because accepting it without\n",
    "effect would be worse.\n\n",
    "| flag | variable | type | default | why, and what to do |\n| --- | --- | --- | --- | --- |\n",
    ...REFERENCES.map((row) => (row.missing === undefined ? "" : formatRow(row, row.missing))),
    "\n## Flags not in flannel\n\n",
    formatTable(OURS),
    "\n## Other variables\n\n| variable | meaning |\n| --- | --- |\n",
    ...OTHER_VARIABLES.map(({ name, help }) => `| \`${name}\` | ${help} |\n`),
    TAIL,
  ].join("");
}

function formatTable(rows: readonly FlagRow[]): string {
  const head = "| flag | variable | type | default | meaning |\n| --- | --- | --- | --- | --- |\n";
  return `${head}${rows.map((row) => formatRow(row, row.help)).join("")}`;
}

function formatRow(row: FlagRow, meaning: string): string {
  const variable = row.onlyFlag === true ? "–" : `\`${variableName(row.name)}\``;
  const value = row.fallback === "" ? "–" : `\`${row.fallback}\``;
  const type = row.type === "list" ? "string, repeatable" : TYPE_NAMES[row.type];
  return `| \`${row.name}\` | ${variable} | ${type} | ${value} | ${meaning} |\n`;
}

const HEAD = `# Flags of \`flanneld\`

Generated from \`agent/src/flag-table.ts\` by \`node levels.mjs unit -- -u\`; a test fails when it is not fresh.

The syntax is Go's: \`-name value\`, \`-name=value\` and \`--name\` are the same; a boolean takes its value only with \`=\`; integers may be
written \`0x10\`, \`0b11\`, \`017\` or \`1_000\`; the last value of a flag counts, and those marked repeatable add up. Reading stops at
the first word that is no flag, and at \`--\`; what is ignored so is named in a warning.

A variable counts only when its flag is not on the command line and it is not empty. One that cannot be read leaves the default in
place and is warned of, and so is a \`FLANNELD_\` variable of no flag.

| exit code | when |
| --- | --- |
| 0 | stopped by SIGINT or SIGTERM; \`--help\`, \`--version\` |
| 1 | it cannot start or go on: one line says why and what to do |
| 2 | flags or values that are no good: one line, and the usage when the words themselves could not be read |

A second SIGINT or SIGTERM ends the process at once. Leases, devices, routes and rules stay as they are in each case.

## Flags of flannel

`;

const TAIL = `
## Beside the service manager

With \`NOTIFY_SOCKET\` set (\`Type=notify\`) \`READY=1\` is sent when kernel and \`subnet.env\` hold what the store says, and the line in
\`systemctl status\` goes back to \`not ready\` whenever readiness does. The network config is waited for without limit, so give
\`TimeoutStartSec=infinity\`. With \`WatchdogSec=\` an agent that hangs is replaced.

## One agent per subnet file

An agent holds a lock (\`flock(2)\`) on \`.subnet.env.lock\` beside its subnet file, and a second one is refused with exit code 1 and a line
that names the process. The kernel lets go of the lock when the process ends, however it ends; the file itself stays. Of
several agents on one machine each needs its own \`-subnet-file\` and \`-etcd-prefix\`.
`;
