/** Changes of rules, as the kernel tells them. */
import { NetlinkError, NftablesEvents, NftablesGeneration, digestLegacyTables } from "linux";
import { AgentError, CAPABILITY_REMEDY } from "../core/errors.ts";
import type { Family } from "../core/ip.ts";

/** One change of a rule, of a chain, or of a whole table, which then names no chain. */
interface RuleEvent {
  readonly family: string;
  readonly table: string;
  readonly chain?: string;
}

/**
 * Begins at once; ends when the signal aborts. `lost` when the kernel could not tell everything.
 * @param namespace path of another network namespace, for tests
 * @throws AgentError "kernel-refused"
 */
export function watchRules(
  signal: AbortSignal,
  namespace?: string,
): AsyncIterable<readonly (RuleEvent | "lost")[]> {
  return tell(
    translated(() =>
      NftablesEvents.open({ signal, ...(namespace === undefined ? {} : { namespace }) }),
    ),
  );
}

/**
 * What tells whether any rule changed since the last time. Asked in a fraction of a millisecond, where a look costs a process.
 * @param namespace path of another network namespace, for tests
 * @returns undefined, then and later, where nf_tables cannot be asked
 */
export function openRuleGeneration(namespace?: string): () => number | undefined {
  let socket: NftablesGeneration | undefined;
  return () => {
    try {
      socket ??= NftablesGeneration.open(namespace);
      return socket.read();
    } catch (error) {
      // A kernel without nf_tables; whoever needs it is told when its program is refused.
      if (!(error instanceof NetlinkError)) throw error;
      return undefined;
    }
  };
}

/** Where rules of ours can be. Source: spec 06 section 1. */
const LEGACY_TABLES = ["nat", "filter"];

const LEGACY_FAMILIES = { 4: "inet", 6: "inet6" } as const;

/**
 * What tells whether any rule of legacy iptables changed since the last time, at the same small price.
 * @param namespace path of another network namespace, for tests
 * @returns undefined where the kernel does not show its tables
 */
export function openLegacyRules(namespace?: string): (family: Family) => string | undefined {
  return (family) => {
    try {
      return digestLegacyTables(LEGACY_FAMILIES[family], LEGACY_TABLES, namespace);
    } catch (error) {
      // Whoever may not read them is told when iptables-save is refused.
      if (!(error instanceof NetlinkError)) throw error;
      return undefined;
    }
  };
}

async function* tell(
  events: NftablesEvents,
): AsyncGenerator<readonly (RuleEvent | "lost")[], void, undefined> {
  try {
    for await (const batch of events)
      yield batch.map((event) => (event.kind === "overrun" ? "lost" : event));
  } catch (error) {
    throw translation(error);
  }
}

function translated<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw translation(error);
  }
}

function translation(error: unknown): unknown {
  if (!(error instanceof NetlinkError)) return error;
  const remedy = error.code === "EPERM" ? `; ${CAPABILITY_REMEDY}` : "";
  return new AgentError("kernel-refused", `${error.message}${remedy}`, {
    retryable: true,
    cause: error,
  });
}
