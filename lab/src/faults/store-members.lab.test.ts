import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Lab } from "../lab.ts";
import { type LaunchedLab, launchLab } from "../launch.ts";
import { labOptions } from "../options.ts";
import { defaultFlanneld } from "../own-agent.ts";
import { workingDirectory } from "../system/machine.ts";
import { ROUTE_AGENT, Workplace } from "../testing/command-line.ts";
import { MEMBER_FAULT_CASES } from "./fault-cases.ts";

const KEY = "/test/key";
const SOON_MS = 20_000;
/** Run by Node in a host. */
const ASK = `fetch("http://172.31.1.2:2379/v3/kv/range", { method: "POST", body: '{"key":"YQ=="}' })
  .then((answer) => answer.text()).then(console.log)`;

requires("lab")("faults of a store of three members", () => {
  let workplace: Workplace;
  let launched: LaunchedLab;
  let lab: Lab;

  beforeAll(async () => {
    workplace = new Workplace();
    const options = labOptions(
      { nodes: 2, storeMembers: 3, backend: "host-gw", flanneld: [ROUTE_AGENT] },
      { flanneld: [], workingDirectory: "/" },
    );
    launched = await launchLab(options, join(workplace.labs, "default"));
    lab = launched.lab;
  });
  afterEach(async () => {
    await lab.healFaults({});
  });
  afterAll(async () => {
    await launched.down();
    workplace[Symbol.dispose]();
  });

  it("are tried on three, each in a namespace with an address of its own", async () => {
    const { store } = await lab.status({});
    expect(store.endpoint).toBe(
      "http://172.31.1.2:2379,http://172.31.1.3:2379,http://172.31.1.4:2379",
    );
    const addresses = await Promise.all(
      store.members.map(async ({ name }) => {
        const argv = ["ip", "-4", "-br", "address", "show", "eth0"];
        return `${name} ${(await lab.exec({ host: name, argv })).stdout.trim().split(/\s+/)[2]}`;
      }),
    );
    expect(addresses).toEqual(["etcd 172.31.1.2/24", "etcd2 172.31.1.3/24", "etcd3 172.31.1.4/24"]);
  });

  describe.each(MEMBER_FAULT_CASES)("$request.fault $request.parameters", ({ request, saw }) => {
    it("F2: is seen by a witness when it strikes and by none when it does not, and is healed", async () => {
      const pretended = await lab.injectFault({ ...request, pretend: true });
      expect(pretended.saw).toBeUndefined();
      const report = await lab.injectFault(request);
      expect(report.saw).toMatch(saw);
      const [healed] = await lab.healFaults({ id: report.id });
      expect(healed).toMatchObject({ id: report.id, saw: expect.any(String) });
      // All members take writes and have what was written.
      await lab.writeStore({ key: KEY, value: report.id });
      expect((await lab.readStore({ prefix: KEY })).entries).toMatchObject([{ value: report.id }]);
    });
  });

  it("of a minority leave it to the others to take writes", async () => {
    await lab.injectFault({ fault: "stop-member", parameters: {} });
    await lab.writeStore({ key: KEY, value: "by two" });
    await lab.healFaults({});
    await lab.injectFault({ fault: "pause-member", parameters: {} });
    await lab.writeStore({ key: KEY, value: "by two others" });
    await lab.healFaults({});
    expect((await lab.readStore({ prefix: KEY })).entries).toMatchObject([
      { value: "by two others" },
    ]);
  });

  it("hand the lead to a member that follows, not to one that is cut off", async () => {
    // The one that is cut off is now the first of those that do not lead, now it is not.
    for (const member of ["1", "2", "3"]) {
      await lab.injectFault({ fault: "isolate-member", parameters: { member } });
      const report = await lab.injectFault({ fault: "change-leader", parameters: {} });
      expect(report.saw).toMatch(/has the leader/);
      await lab.healFaults({});
    }
  });

  it("roll the store back to what it was, and let everybody go on from there", async () => {
    await lab.writeStore({ key: KEY, value: "before" });
    const before = await lab.readStore({ prefix: KEY });
    await lab.injectFault({ fault: "roll-back-store", parameters: {} });
    await lab.writeStore({ key: KEY, value: "after" });
    await lab.writeStore({ key: `${KEY}2`, value: "after" });
    await lab.healFaults({});
    expect((await lab.readStore({ prefix: KEY })).entries).toEqual(before.entries);
    await lab.writeStore({ key: KEY, value: "again" });
    expect((await lab.readStore({ prefix: KEY })).entries).toMatchObject([{ value: "again" }]);
  });

  it("of a member that is not there are refused", async () => {
    await expect(
      lab.injectFault({ fault: "stop-member", parameters: { member: "4" } }),
    ).rejects.toThrow("the store has no member 4: there are 3");
  });
});

requires("lab", "vxlan")("faults of a store that knows its users", () => {
  it("F2: end every token; lab and agents log in again", async () => {
    using workplace = new Workplace();
    const options = labOptions(
      { nodes: 1, storeAuth: true },
      { flanneld: defaultFlanneld(), workingDirectory: workingDirectory() },
    );
    const launched = await launchLab(options, join(workplace.labs, "default"));
    const { lab } = launched;
    try {
      // Who says nothing of himself is nobody.
      const argv = [process.execPath, "-e", ASK];
      const { stdout } = await lab.exec({ host: "n1", argv });
      expect(stdout).toContain("user name is empty");
      const request = { fault: "expire-tokens", parameters: {} };
      expect((await lab.injectFault({ ...request, pretend: true })).saw).toBeUndefined();
      expect((await lab.injectFault(request)).saw).toMatch(/refuses a token that it gave out/);
      await lab.writeStore({ key: KEY, value: "by the lab" });
      expect(await lab.healFaults({})).toMatchObject([{ saw: expect.any(String) }]);
      await lab.addHost({ host: "n2" });
      await lab.waitReady({ timeoutMs: SOON_MS });
      await lab.waitReachable({ timeoutMs: SOON_MS });
    } finally {
      await launched.down();
    }
  });
});
