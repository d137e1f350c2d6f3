/** What the addon does to the process that loads it: nothing, whatever JavaScript does. */
import { expect, test } from "vitest";
import { requires } from "./testing/requires.ts";
import { moduleUrl, runScript } from "./testing/run-script.ts";

const HEAD = `
  import { loadAddon } from ${moduleUrl("addon.ts")};
  import { NetworkNamespace } from ${moduleUrl("namespaces.ts")};
  import { RouteEvents } from ${moduleUrl("route-events.ts")};
  import { RouteSocket } from ${moduleUrl("route-socket.ts")};
  import { addLink, removeLink } from ${moduleUrl("link.ts")};
  import { removeRoute } from ${moduleUrl("route.ts")};
`;

requires("netns")("the addon", () => {
  test("lets the process end when its events and sockets are closed", () => {
    const result = runScript(`${HEAD}
      using namespace = NetworkNamespace.create();
      const events = RouteEvents.open({ namespace: namespace.path, kinds: ["link"] });
      const socket = RouteSocket.open({ namespace: namespace.path });
      const batches = events[Symbol.asyncIterator]();
      await socket.execute([addLink({ name: "br0", kind: "bridge" })]);
      const { value } = await batches.next();
      await batches.return();
      socket.close();
      process.stdout.write(value[0].link.name);
    `);
    expect(result).toEqual({ status: 0, signal: null, stdout: "br0", stderr: "" });
  });

  test("turns an exception in a handler into an uncaught exception", () => {
    const result = runScript(`${HEAD}
      const namespace = NetworkNamespace.create();
      const socket = RouteSocket.open({ namespace: namespace.path });
      const reader = loadAddon().openReader(0, namespace.path, [1], 65536, () => {
        throw new Error("thrown by the handler");
      }, 0, []);
      process.once("uncaughtException", (error) => {
        loadAddon().closeReader(reader);
        process.stdout.write("uncaught: " + error.message);
      });
      await socket.execute([addLink({ name: "br0", kind: "bridge" })]);
    `);
    expect(result).toEqual({
      status: 0,
      signal: null,
      stdout: "uncaught: thrown by the handler",
      stderr: "",
    });
  });

  test("survives workers that are ended in the middle of everything", () => {
    const result = runScript(`${HEAD}
      import { Worker } from "node:worker_threads";
      import { readdirSync } from "node:fs";
      import { once } from "node:events";
      const worker = \`${HEAD}
        import { parentPort } from "node:worker_threads";
        const namespace = NetworkNamespace.create();
        const events = RouteEvents.open({ namespace: namespace.path });
        const socket = RouteSocket.open({ namespace: namespace.path });
        const links = Array.from({ length: 50 }, (_, n) => addLink({ name: "br" + n, kind: "bridge" }));
        const gone = Array.from({ length: 50 }, (_, n) => removeLink({ name: "br" + n }));
        await socket.execute([links[0]]);
        parentPort.postMessage("busy");
        for (;;) await Promise.all([socket.execute(links), socket.execute(gone), socket.links()]);
      \`;
      const descriptors = () => readdirSync("/proc/self/fd").length;
      const ended = async () => {
        const thread = new Worker(new URL("data:text/javascript," + encodeURIComponent(worker)));
        await once(thread, "message");
        await thread.terminate();
      };
      await ended();
      const before = descriptors();
      for (let round = 0; round < 10; round += 1) await ended();
      // Each worker held one namespace open, which nobody closes for it.
      const left = descriptors() - before - 10;
      process.stdout.write("left open: " + left);
    `);
    expect(result).toEqual({ status: 0, signal: null, stdout: "left open: 0", stderr: "" });
  });

  test("finishes an exchange whose socket is forgotten", () => {
    const result = runScript(`${HEAD}
      import { setFlagsFromString } from "node:v8";
      import { runInNewContext } from "node:vm";
      setFlagsFromString("--expose-gc");
      const gc = runInNewContext("gc");
      using namespace = NetworkNamespace.create();
      const ask = () =>
        RouteSocket.open({ namespace: namespace.path }).execute(
          Array.from({ length: 5000 }, () => removeRoute({ destination: "10.0.0.0/8" })),
        );
      const asked = Array.from({ length: 8 }, ask);
      for (let round = 0; round < 5; round += 1) { gc(); await Promise.resolve(); }
      const answers = await Promise.all(asked);
      gc();
      process.stdout.write(String(answers.flat().filter((one) => one.code === "ESRCH").length));
    `);
    expect(result).toEqual({ status: 0, signal: null, stdout: "40000", stderr: "" });
  });

  test("closes a socket once its exchange has ended", () => {
    const result = runScript(`${HEAD}
      import { readdirSync } from "node:fs";
      using namespace = NetworkNamespace.create();
      const addon = loadAddon();
      const descriptors = () => readdirSync("/proc/self/fd").length;
      const { encodeDump } = await import(${moduleUrl("dump.ts")});
      const links = { messageType: 18, filter: (writer) => writer.zeros(16) };
      const before = descriptors();
      const socket = addon.openSocket(0, namespace.path, 65536);
      const asked = addon.exchange(socket, encodeDump(links, 1), false);
      addon.closeSocket(socket);
      const during = descriptors() - before;
      const answered = (await asked).length > 0;
      const after = descriptors() - before;
      process.stdout.write(JSON.stringify([during, answered, after]));
    `);
    expect(result).toEqual({ status: 0, signal: null, stdout: "[1,true,0]", stderr: "" });
  });

  test("refuses what is no handle and no message of its own", () => {
    const result = runScript(`${HEAD}
      const addon = loadAddon();
      using namespace = NetworkNamespace.create();
      const reader = addon.openReader(0, namespace.path, [1], 65536, () => undefined, 0, []);
      const socket = addon.openSocket(0, namespace.path, 65536);
      const message = (length, bytes = 16) => {
        const whole = new Uint8Array(bytes);
        new DataView(whole.buffer).setUint32(0, length, true);
        return whole;
      };
      const outcome = (act) => { try { return act(); } catch (error) { return error.name; } };
      const outcomes = [
        () => addon.closeSocket({}),
        () => addon.closeSocket(reader),
        () => addon.takeEvents(socket),
        () => addon.takeEvents(),
        () => addon.exchangeSync(socket, "text", true),
        () => addon.exchangeSync(socket, new Uint8Array(17).subarray(1), true),
        () => addon.openSocket(0, 7, 65536),
        () => addon.openSocket(0, "x".repeat(5000), 65536),
        () => addon.openSocket(0, "a\\0b", 65536),
        () => addon.openReader(0, namespace.path, [1], 65536, () => undefined, "text", []),
        () => addon.openReader(0, namespace.path, [1 << 20], 65536, () => undefined, 0, []),
        () => addon.openReader(0, namespace.path, [1], 65536, () => undefined, 1, [1 << 16]),
        () => addon.openReader(0, namespace.path, [1], 65536, () => undefined, 1, Array(17).fill(1)),
        () => addon.exchangeSync(socket, message(15), true),
        () => addon.exchangeSync(socket, message(17), true),
        () => addon.exchangeSync(socket, message(0xffffffff), true),
        () => addon.exchangeSync(socket, message(16, 12), true),
        () => addon.exchangeSync(socket, message(16).subarray(0, 0), true).length,
      ].map(outcome);
      addon.closeReader(reader);
      addon.closeReader(reader);
      addon.closeSocket(socket);
      process.stdout.write(JSON.stringify([...outcomes, addon.exchangeSync(socket, message(16), true)]));
    `);
    expect(result.stderr).toBe("");
    const [EBADMSG, EINVAL, EBADF] = [74, 22, 9];
    expect(JSON.parse(result.stdout)).toEqual([
      ...Array.from({ length: 10 }, () => "TypeError"),
      EINVAL,
      EINVAL,
      EINVAL,
      EBADMSG,
      EBADMSG,
      EBADMSG,
      EBADMSG,
      0,
      EBADF,
    ]);
  });
});
