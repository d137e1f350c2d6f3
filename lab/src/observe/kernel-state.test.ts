import { describe, expect, it } from "vitest";
import type { ExecRequest, ExecResult } from "../lab.ts";
import { type HostKernel, readHostKernel } from "./kernel-state.ts";

/** A host that answers so, and what it was asked. */
async function read(
  result: Partial<ExecResult>,
): Promise<{ readonly kernel: HostKernel; readonly asked: readonly ExecRequest[] }> {
  const asked: ExecRequest[] = [];
  const exec = (request: ExecRequest): Promise<ExecResult> => {
    asked.push(request);
    return Promise.resolve({ exitCode: 0, stdout: "", stderr: "", ...result });
  };
  return { kernel: await readHostKernel({ exec }, "n1"), asked };
}

const ANSWERS = [
  [{ dst: "10.244.2.0/24", gateway: "10.244.2.0", dev: "flannel.1", flags: ["onlink"] }],
  [{ dst: "fd00::/64", dev: "eth0", protocol: "kernel", flags: [] }],
  [{ dst: "10.244.2.0", dev: "flannel.1", lladdr: "0e:00:00:00:00:02" }],
  [
    { mac: "0e:00:00:00:00:02", ifname: "flannel.1", dst: "192.0.2.2" },
    { mac: "33:33:00:00:00:01", ifname: "flannel.1" },
  ],
  [{ ifname: "flannel.1", address: "0e:00:00:00:00:01" }],
];

describe("a host's kernel", () => {
  it("is read by entering the host once, each answer for its question", async () => {
    const stdout = ANSWERS.map((answer) => `==\n${JSON.stringify(answer)}\n`).join("");
    const { kernel, asked } = await read({ stdout });
    expect(asked).toHaveLength(1);
    expect(
      kernel.routes.map(({ family, destination, device }) => [family, destination, device]),
    ).toEqual([
      ["ipv4", "10.244.2.0/24", "flannel.1"],
      ["ipv6", "fd00::/64", "eth0"],
    ]);
    expect(kernel.neighbours).toMatchObject([{ address: "10.244.2.0", mac: "0e:00:00:00:00:02" }]);
    expect(kernel.fdb).toEqual([
      { device: "flannel.1", mac: "0e:00:00:00:00:02", destination: "192.0.2.2" },
    ]);
    expect(kernel.vxlans).toEqual([{ device: "flannel.1", mac: "0e:00:00:00:00:01" }]);
  });

  it("is empty where programs print nothing for an empty list", async () => {
    const { kernel } = await read({ stdout: "==\n==\n[]\n==\n==\n[ ]\n==\n" });
    expect(kernel).toEqual({ routes: [], neighbours: [], fdb: [], vxlans: [] });
  });

  it("is not taken for empty where a program fails, or was never asked", async () => {
    const failed = read({ exitCode: 1, stdout: "==\n[]\n==\n", stderr: "no such table\n" });
    await expect(failed).rejects.toThrow("n1: ip -j -d -6 route show table main: no such table");
    await expect(read({ stdout: "==\n[]\n" })).rejects.toThrow("n1: 1 of 5 answers");
  });
});
