import { expect, test } from "vitest";
import { HealthServer } from "./health-server.ts";

test("alive is always 200, ready follows the agent, anything else is 404", async () => {
  let ready = false;
  await using server = await HealthServer.open("127.0.0.1", 0, () => ready);
  const get = async (path: string): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    return `${response.status} ${await response.text()}`;
  };
  expect(await get("/healthz")).toBe("200 flanneld is running");
  expect(await get("/readyz")).toBe("503 flanneld is not ready yet");
  ready = true;
  expect(await get("/readyz")).toBe("200 flanneld is ready");
  ready = false;
  expect(await get("/readyz")).toBe("503 flanneld is not ready yet");
  expect(await get("/")).toBe("404 404 page not found\n");
});

test("a port in use is one clear error with the remedy", async () => {
  await using server = await HealthServer.open("127.0.0.1", 0, () => true);
  await expect(HealthServer.open("127.0.0.1", server.port, () => true)).rejects.toThrow(
    `cannot listen for health checks on 127.0.0.1 port ${server.port}: EADDRINUSE; choose another -healthz-ip or -healthz-port`,
  );
});
