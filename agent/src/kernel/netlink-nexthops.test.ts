import { constants } from "node:os";
import { NetlinkError } from "linux";
import { expect, test } from "vitest";
import { unlessUnsupported } from "./netlink-nexthops.ts";

const { EOPNOTSUPP, EPERM } = constants.errno;

test("what a kernel does not know is absent; any other refusal is an error", async () => {
  const refused = (errno: number): Promise<never> =>
    Promise.reject(new NetlinkError("dump nexthops", errno));
  expect(await unlessUnsupported(() => refused(EOPNOTSUPP))).toBeUndefined();
  await expect(unlessUnsupported(() => refused(EPERM))).rejects.toMatchObject({ code: "EPERM" });
  expect(await unlessUnsupported(async () => [1])).toEqual([1]);
});
