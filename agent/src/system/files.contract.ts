import { describe, expect, test } from "vitest";
import type { Files } from "./files.ts";

/** What any Files must do; `path` gives a fresh place for each test. */
export function filesContract(
  name: string,
  open: () => { files: Files; path: (name: string) => string },
): void {
  describe(`${name} keeps the contract of files`, () => {
    test("a file that is not there reads as undefined", async () => {
      const { files, path } = open();
      expect(await files.read(path("absent/subnet.env"))).toBeUndefined();
    });

    test("what was written is read back, and the last write wins", async () => {
      const { files, path } = open();
      await files.writeAtomically(path("run/flannel/subnet.env"), "FLANNEL_MTU=1450\n", 0o644);
      await files.writeAtomically(path("run/flannel/subnet.env"), "FLANNEL_MTU=1430\n", 0o644);
      expect(await files.read(path("run/flannel/subnet.env"))).toBe("FLANNEL_MTU=1430\n");
    });

    test("what was removed is not there any more, and removing it again is no error", async () => {
      const { files, path } = open();
      await files.writeAtomically(path("run/flannel/subnet.env"), "FLANNEL_MTU=1450\n", 0o644);
      await files.remove(path("run/flannel/subnet.env"));
      expect(await files.read(path("run/flannel/subnet.env"))).toBeUndefined();
      await files.remove(path("run/flannel/subnet.env"));
      await files.remove(path("absent/subnet.env"));
    });
  });
}
