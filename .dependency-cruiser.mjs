/** Who may import whom. Each rule says why; the table in ARCHITECTURE.md is the same list in prose. */
const tests = "(\\.(test|contract)|-test-(server|certificates)|-bench)\\.ts$";

/** Files of one room may import only what `to` matches. */
const only = (name, why, from, to) => ({
  name,
  comment: why,
  severity: "error",
  from: { path: from, pathNot: tests },
  to: { pathNot: to },
});
const never = (name, why, from, to) => ({ name, comment: why, severity: "error", from, to });

/** A library that exactly one place may use. */
const fenced = (library, place) =>
  never(
    `${library}-in-one-place`,
    "a library stays replaceable while one place knows it",
    { pathNot: `${place}|node_modules|${tests}` },
    { path: `node_modules/${library}/` },
  );

const system = "agent/src/system/(clock|command|files|log|random|slices)\\.ts$";

export default {
  forbidden: [
    only(
      "core-is-pure",
      "no I/O, clock, randomness or package in the domain: it is what the property tests run",
      "^agent/src/core/",
      "^agent/src/core/",
    ),
    only(
      "kernel-port-is-values",
      "the port, the reconciler and the memory kernel run in a simulated world",
      "^agent/src/kernel/(?!netlink-)",
      `^(agent/src/(core|kernel)/|${system})`,
    ),
    only(
      "netlink-kernel-is-an-adapter",
      "the only place of the agent that knows how to talk to the kernel",
      "^agent/src/kernel/netlink-",
      `^(agent/src/(core|kernel)/|linux/src/|${system}|fs(/promises)?$)`,
    ),
    never(
      "linux-in-one-place",
      "the native library stays behind the kernel port, and behind two system calls that Node lacks",
      {
        path: "^agent/src/",
        pathNot: `^agent/src/(kernel/netlink-|system/(instance-lock|service-socket)\\.ts$)|${tests}`,
      },
      { path: "^linux/" },
    ),
    only(
      "linux-knows-linux",
      "it serves any program: it knows nothing of leases or labs",
      "^linux/src/",
      "^linux/src/|^(fs|path|os|child_process|module|crypto|url|util|events|process)$|node-api-headers|vitest",
    ),
    only(
      "backends-see-ports",
      "a backend is a plan over the kernel port; it never talks to a library or another room",
      "^agent/src/backends/([^/]+)/",
      `^(agent/src/(core|backends/(backend\\.ts|$1/))|agent/src/kernel/(kernel|reconcile)\\.ts|${system})`,
    ),
    never(
      "backends-are-named-once",
      "adding a backend is one folder and one registry line",
      { path: "^agent/src/", pathNot: "^agent/src/backends/" },
      { path: "^agent/src/backends/[^/]+/" },
    ),
    only(
      "subnet-manager-sees-stores",
      "leases are the store's business; the kernel and the backends are not",
      "^agent/src/subnet-manager/",
      `^(agent/src/(core|subnet-manager)/|${system}|node_modules/)|(^|/)(fs|url|path|crypto)$|^(http2|net|tls)$`,
    ),
    never(
      "etcd-connection-in-one-place",
      "who speaks to etcd over the network stays replaceable",
      { path: "^agent/src/", pathNot: `^agent/src/subnet-manager/etcd/etcd3-|${tests}` },
      { path: "^(http2|tls)$" },
    ),
    only(
      "traffic-manager-sees-programs",
      "rules are made by programs of the machine; kernel, leases and backends are not its business",
      "^agent/src/traffic-manager/",
      `^(agent/src/(core|traffic-manager)/|${system})`,
    ),
    only(
      "daemon-sees-ports",
      "the life of an agent runs in the simulation as it runs on a node",
      "^agent/src/daemon",
      `^(agent/src/(core/|daemon|together\\.ts|kernel/(kernel|reconcile)\\.ts|backends/backend\\.ts|subnet-manager/subnet-manager\\.ts|traffic-manager/traffic-manager\\.ts)|${system})`,
    ),
    only(
      "status-is-values",
      "what is shown is a function of values: it asks no port, and nothing in it decides anything",
      "^agent/src/status/",
      `^agent/src/(status/|core/|daemon-(vitals|counters|readiness)\\.ts$|subnet-manager/subnet-manager\\.ts$|kernel/(kernel|by-identity|difference|identity|print)\\.ts$)|${system}`,
    ),
    never(
      "only-main-knows-all",
      "main.ts puts the adapters together; nobody imports it",
      {},
      { path: "^agent/src/main\\.ts$" },
    ),
    never(
      "lab-sees-a-process",
      "the lab must be able to run any flanneld, the Go one too",
      { path: "^(lab|scenarios)/" },
      { path: "^agent/" },
    ),
    never(
      "agent-knows-no-lab",
      "the agent runs on nodes, without a lab",
      { path: "^(agent|linux)/" },
      { path: "^(lab|scenarios|property-tests)/" },
    ),
    only(
      "scenarios-are-data",
      "a scenario declares; the lab acts",
      "^scenarios/",
      "^(scenarios/|lab/src/scenario\\.ts$)",
    ),
    never(
      "properties-see-the-agent",
      "properties run the agent's own code, never the lab's, but for what a scenario is and how its file is read",
      { path: "^property-tests/" },
      {
        path: "^(lab/(?!src/(scenario|system/scenario-files)\\.ts$)|scenarios/|linux/(?!src/(testing|capability)))",
      },
    ),
    never(
      "one-place-plays-scenarios",
      "the rest of the simulated world knows no lab",
      { path: "^property-tests/", pathNot: "^property-tests/src/sim/scenarios/" },
      { path: "^lab/" },
    ),
    only(
      "benchmarks-see-the-agent",
      "they measure the agent's own code and Linux, and run the lab as a program",
      "^benchmarks/",
      "^(benchmarks|agent|linux)/|^(fs|path|os|child_process|events|timers/promises|util|perf_hooks|inspector/promises)$|node_modules/vitest",
    ),
    only(
      "shipping-runs-the-build",
      "it packs the agent without knowing it: its parts are read, not imported",
      "^shipping/",
      "^shipping/|^linux/src/addon\\.ts$|^(fs|path|os|module|child_process|util|crypto|url)$|node_modules/(esbuild|vitest)",
    ),
    never(
      "nobody-sees-shipping",
      "what makes the packages is no part of what is in them",
      { path: "^(agent|benchmarks|lab|linux|property-tests|scenarios)/" },
      { path: "^shipping/" },
    ),
    never(
      "nobody-sees-benchmarks",
      "nothing that ships or tests rests on them",
      { path: "^(agent|lab|linux|property-tests|scenarios|shipping)/" },
      { path: "^benchmarks/" },
    ),
    fenced("pino", "^agent/src/system/pino-log\\.ts$"),
    never("no-cycles", "a cycle has no first file to read", {}, { circular: true }),
    never("no-unresolved", "every import resolves", {}, { couldNotResolve: true }),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)(build|prebuilds)/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
  },
};
