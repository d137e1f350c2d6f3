import type { RunEvent, Verdict } from "./events.ts";
import { EVENT_LOG_VERSION } from "./events.ts";
import { amount, count, flag, list, members, oneOf, optional, type Shape, text } from "./shape.ts";

type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { readonly type: T }>;
type EventShapes = { readonly [T in RunEvent["type"]]: Shape<EventOf<T>> };

const at = amount;
const verdict: Shape<Verdict> = oneOf("pass", "fail", "unknown");
const texts = list(text);

/** What each line of a log must be, by its type; the compiler holds them to the types of events.ts. */
export const EVENT_SHAPES: EventShapes = {
  "run-started": members<EventOf<"run-started">>({
    type: oneOf("run-started"),
    at,
    version: oneOf(EVENT_LOG_VERSION),
    wallClock: text,
    run: text,
    repetition: optional(members({ number: count, of: count })),
    driver: optional(text),
    seed: optional(count),
    again: optional(text),
    watched: texts,
    scenario: members<EventOf<"run-started">["scenario"]>({
      name: text,
      why: text,
      invariants: texts,
      steps: list(members({ kind: oneOf("expect", "fault", "act", "probe"), text })),
    }),
    variant: members({ backend: text, family: text, text }),
    agents: list(
      members<EventOf<"run-started">["agents"][number]>({
        host: text,
        command: text,
        version: optional(text),
      }),
    ),
    machine: members({ kernel: text, cores: count, memoryMb: count, node: text }),
  }),
  topology: members<EventOf<"topology">>({
    type: oneOf("topology"),
    at,
    segments: list(members({ name: text, addresses: texts })),
    hosts: list(members({ name: text, segment: text, publicIps: texts })),
    store: members({ name: text, segment: text, endpoint: text }),
  }),
  "step-began": members<EventOf<"step-began">>({ type: oneOf("step-began"), at, step: count }),
  "step-ended": members<EventOf<"step-ended">>({
    type: oneOf("step-ended"),
    at,
    step: count,
    verdict,
    ms: amount,
    details: texts,
  }),
  "expectation-evaluated": members<EventOf<"expectation-evaluated">>({
    type: oneOf("expectation-evaluated"),
    at,
    step: count,
    expectation: text,
    verdict,
    ms: amount,
    withinMs: amount,
  }),
  "fault-injected": members<EventOf<"fault-injected">>({
    type: oneOf("fault-injected"),
    at,
    fault: text,
    name: text,
    target: text,
  }),
  "fault-verified": members<EventOf<"fault-verified">>({
    type: oneOf("fault-verified"),
    at,
    fault: text,
    saw: text,
  }),
  "fault-healed": members<EventOf<"fault-healed">>({
    type: oneOf("fault-healed"),
    at,
    fault: text,
  }),
  "fault-heal-verified": members<EventOf<"fault-heal-verified">>({
    type: oneOf("fault-heal-verified"),
    at,
    fault: text,
    saw: text,
  }),
  "fault-not-seen": members<EventOf<"fault-not-seen">>({
    type: oneOf("fault-not-seen"),
    at,
    fault: text,
    part: oneOf("injection", "heal"),
    detail: text,
  }),
  "invariant-violated": members<EventOf<"invariant-violated">>({
    type: oneOf("invariant-violated"),
    at,
    violatedAt: amount,
    id: text,
    host: optional(text),
    detail: text,
    evidence: texts,
  }),
  "invariant-checked": members<EventOf<"invariant-checked">>({
    type: oneOf("invariant-checked"),
    at,
    id: text,
    verdict,
    looked: count,
    blind: flag,
    detail: text,
  }),
  "probe-figures": members<EventOf<"probe-figures">>({
    type: oneOf("probe-figures"),
    at,
    from: text,
    to: text,
    family: oneOf("ipv4", "ipv6"),
    sent: count,
    received: count,
    floor: count,
    duplicates: count,
    reordered: count,
    misdelivered: count,
    gaps: list(members({ beginMs: amount, lengthMs: amount, lost: count })),
  }),
  "lease-changed": members<EventOf<"lease-changed">>({
    type: oneOf("lease-changed"),
    at,
    kind: oneOf("put", "delete"),
    key: text,
    revision: count,
    owner: optional(text),
    leaseId: optional(text),
  }),
  "kernel-changed": members<EventOf<"kernel-changed">>({
    type: oneOf("kernel-changed"),
    at,
    host: text,
    kind: oneOf("put", "remove"),
    object: text,
  }),
  "agent-started": members<EventOf<"agent-started">>({
    type: oneOf("agent-started"),
    at,
    host: text,
    pid: count,
  }),
  "agent-ended": members<EventOf<"agent-ended">>({
    type: oneOf("agent-ended"),
    at,
    host: text,
    code: optional(count),
    signal: optional(text),
  }),
  "host-log": members<EventOf<"host-log">>({
    type: oneOf("host-log"),
    at,
    host: text,
    lines: texts,
    omitted: count,
  }),
  "machine-short": members<EventOf<"machine-short">>({
    type: oneOf("machine-short"),
    at,
    detail: text,
  }),
  "run-broke": members<EventOf<"run-broke">>({
    type: oneOf("run-broke"),
    at,
    phase: oneOf("set-up", "steps"),
    blame: oneOf("agent", "lab"),
    message: text,
    details: texts,
  }),
  "run-ended": members<EventOf<"run-ended">>({ type: oneOf("run-ended"), at, verdict }),
};
