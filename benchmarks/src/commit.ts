/** From a lease that is committed to all kernels of a lab that hold it. */
import { RouteEvents } from "linux";
import type { Comparison } from "./figures.ts";
import { lab, type LabHost } from "./lab-program.ts";

const NAME = "bench";
/** Of a lease that no host of the lab has; the lab's own begin at 10.244.1.0. */
const SUBNET = "10.244.255.0";
const STORE = "http://172.31.1.2:2379";
const LIMIT_MS = 20_000;

/** Each run writes the lease of a peer that is none, and takes it away again. */
export async function measureCommits(hosts: number, runs: number): Promise<Comparison> {
  lab(NAME, "up", "--nodes", String(hosts), "--timeout", "180", "--expect", "none");
  try {
    const { nodes: found } = JSON.parse(lab(NAME, "ps", "--json")) as {
      readonly nodes: readonly LabHost[];
    };
    const delays: number[] = [];
    for (let run = 0; run < runs; run++) delays.push(...(await oneCommit(found, run)));
    const sorted = delays.toSorted((a, b) => a - b);
    const at = (share: number): number =>
      sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
    return {
      title: `lease committed until all of ${hosts} kernels hold it, ${runs} commits`,
      unit: "ms",
      ways: [{ name: "p99", figures: [at(0.99)] }],
      also: [
        { name: "p50", figures: [at(0.5)] },
        { name: "all hosts", figures: delays },
      ],
      bars: [{ text: "p99, in ms", limit: 1000 }],
    };
  } finally {
    lab(NAME, "down");
  }
}

/** One delay a host: from the store's answer to the kernel's event of the peer's route, which comes after all else. */
async function oneCommit(hosts: readonly LabHost[], run: number): Promise<readonly number[]> {
  const stop = AbortSignal.timeout(LIMIT_MS);
  const watching = hosts.map(({ pid }) =>
    RouteEvents.open({ namespace: `/proc/${pid}/ns/net`, kinds: ["route"], signal: stop }),
  );
  const arrivals = watching.map((events) => routeMs(events));
  const [first] = hosts;
  if (first === undefined) throw new Error("a lab without hosts");
  const value = base64(JSON.stringify(leaseOf(run)));
  const committedMs = ask(first, "put", { key: KEY, value });
  const delays = (await Promise.all(arrivals)).map((ms) => ms - committedMs);
  ask(first, "deleterange", { key: KEY });
  return delays;
}

async function routeMs(events: RouteEvents): Promise<number> {
  for await (const batch of events)
    for (const event of batch)
      if (
        event.kind === "put" &&
        event.object === "route" &&
        event.route.destination === `${SUBNET}/24`
      )
        return Number(process.hrtime.bigint()) / NS_PER_MS;
  throw new Error(`no route to ${SUBNET}/24 within ${LIMIT_MS} ms`);
}

function leaseOf(run: number): object {
  const VtepMAC = `0e:00:00:00:01:${(run % 256).toString(16).padStart(2, "0")}`;
  return {
    PublicIP: "172.31.1.250",
    PublicIPv6: null,
    BackendType: "vxlan",
    BackendData: { VNI: 1, VtepMAC },
  };
}

/**
 * Through etcd's JSON gateway, from inside the lab. Source: etcd api_grpc_gateway.
 * @returns when the answer was there, by the clock that all processes of a machine share, in milliseconds
 */
function ask({ name }: LabHost, verb: string, body: object): number {
  const request = { method: "POST", body: JSON.stringify(body) };
  const program = `
    const answer = await fetch(${JSON.stringify(`${STORE}/v3/kv/${verb}`)}, ${JSON.stringify(request)});
    const now = process.hrtime.bigint();
    if (!answer.ok) throw new Error(await answer.text());
    console.log(String(now));`;
  const node = [process.execPath, "--input-type=module", "-e", program];
  return Number(lab(NAME, "exec", name, "--", ...node)) / NS_PER_MS;
}

const NS_PER_MS = 1e6;
const KEY = base64(`/coreos.com/network/subnets/${SUBNET}-24`);

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
