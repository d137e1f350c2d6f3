/** Where a cluster's keys are. Source: spec 03 section 1. */
export interface Keys {
  /** Holds the network configuration. */
  readonly config: string;
  /** What the key of every lease starts with: its slash keeps `subnets-old/…` out (spec 10, E14). */
  readonly subnets: string;
}

/** The keys below `--etcd-prefix`, cleaned as Go's path.Clean does: no doubled or trailing slashes, no `.` and `..`. */
export function keysBelow(prefix: string): Keys {
  const parts: string[] = [];
  for (const part of prefix.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  const root = prefix.startsWith("/") ? "/" : "";
  const below = (name: string): string => root + [...parts, name].join("/");
  return { config: below("config"), subnets: `${below("subnets")}/` };
}
