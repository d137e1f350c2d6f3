import { spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { expect, test } from "vitest";
import { addLink } from "./link.ts";
import { NetworkNamespace } from "./namespaces.ts";
import { RouteSocket } from "./route-socket.ts";
import { must } from "./testing/fixture.ts";
import { iproute2 } from "./testing/iproute2.ts";
import { requires } from "./testing/requires.ts";
import { moduleUrl, runScript } from "./testing/run-script.ts";

/** Which namespace a path leads to, as the kernel numbers them. */
function identityOf(path: string): string {
  const { stdout } = spawnSync("stat", ["--dereference", "--format=%i", path], {
    encoding: "utf8",
  });
  return stdout.trim();
}

requires("netns")("network namespaces", () => {
  test("one without a name is seen through its path by other processes, and only while it is held", async () => {
    const namespace = NetworkNamespace.create();
    const { path } = namespace;
    const socket = RouteSocket.open({ namespace: path });
    await must(socket, addLink({ name: "br0", kind: "bridge" }));
    expect(iproute2("ip", namespace, "link", "show", "br0")).toMatchObject([{ ifname: "br0" }]);
    socket.close();
    namespace.close();
    namespace.close();
    expect(() => RouteSocket.open({ namespace: path })).toThrow(/E(?:NOENT|INVAL)/);
  });

  test("making and entering others leaves this process where it is", () => {
    const before = readlinkSync("/proc/thread-self/ns/net");
    using namespace = NetworkNamespace.create();
    using socket = RouteSocket.open({ namespace: namespace.path });
    expect(socket).toBeInstanceOf(RouteSocket);
    expect(readlinkSync("/proc/thread-self/ns/net")).toBe(before);
    expect(identityOf(namespace.path)).not.toBe(identityOf("/proc/self/ns/net"));
  });

  test("that of a process", () => {
    using own = NetworkNamespace.ofProcess(process.pid);
    expect(identityOf(own.path)).toBe(identityOf("/proc/self/ns/net"));
    expect(() => NetworkNamespace.ofProcess(0x7fff_ffff)).toThrow("ENOENT");
    expect(() => NetworkNamespace.open("/nonexistent/netns")).toThrow("ENOENT");
  });

  test("a hundred are made, each with its own links", async () => {
    using stack = new DisposableStack();
    const sockets = Array.from({ length: 100 }, () => {
      const namespace = stack.use(NetworkNamespace.create());
      return stack.use(RouteSocket.open({ namespace: namespace.path }));
    });
    await Promise.all(
      sockets.map((socket, n) => must(socket, addLink({ name: `host${n}`, kind: "bridge" }))),
    );
    const names = await Promise.all(
      sockets.map(async (socket) => (await socket.links()).map(({ name }) => name)),
    );
    expect(names).toEqual(sockets.map((_, n) => ["lo", `host${n}`]));
  });

  test("one with a name is made, entered, refused a second time, and removed", () => {
    // In a mount namespace of its own, so that nothing stays behind whatever happens.
    const { stdout, stderr, status } = runScript(
      `
      import { spawnSync } from "node:child_process";
      import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
      import { tmpdir } from "node:os";
      import { join } from "node:path";
      import { createNamedNamespace, removeNamedNamespace } from ${moduleUrl("namespaces.ts")};
      import { RouteSocket } from ${moduleUrl("route-socket.ts")};
      import { addLink } from ${moduleUrl("link.ts")};
      const codeOf = (act) => { try { act(); return "nothing"; } catch (error) { return error.message; } };
      const base = mkdtempSync(join(tmpdir(), "netns-"));
      const directory = base + "/names";
      const path = createNamedNamespace("a", directory);
      const socket = RouteSocket.open({ namespace: path });
      await socket.execute([addLink({ name: "br0", kind: "bridge" })]);
      socket.close();
      const seen = spawnSync("nsenter", ["--net=" + path, "ip", "-json", "link", "show", "br0"], { encoding: "utf8" });
      const again = codeOf(() => createNamedNamespace("a", directory));
      const stillThere = codeOf(() => RouteSocket.open({ namespace: path }).close());
      writeFileSync(directory + "/file", "");
      const noNamespace = codeOf(() => removeNamedNamespace("file", directory));
      removeNamedNamespace("a", directory);
      const missing = codeOf(() => removeNamedNamespace("a", directory));
      const left = readdirSync(directory);
      rmSync(base, { recursive: true });
      process.stdout.write(JSON.stringify({
        path: path.slice(base.length),
        seen: JSON.parse(seen.stdout)[0].ifname,
        again: again.replace(base, ""),
        stillThere,
        noNamespace: noNamespace.replace(base, ""),
        missing: missing.replace(base, ""),
        left,
      }));
      `,
      ["unshare", "-m"],
    );
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    expect(JSON.parse(stdout)).toEqual({
      path: "/names/a",
      seen: "br0",
      again: "cannot name a network namespace /names/a: EEXIST",
      stillThere: "nothing",
      noNamespace: "cannot remove the network namespace /names/file: EINVAL",
      missing: "cannot remove the network namespace /names/a: ENOENT",
      left: ["file"],
    });
  });
});
