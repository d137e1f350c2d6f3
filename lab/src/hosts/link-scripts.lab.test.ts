import { spawnSync } from "node:child_process";
import { requires } from "linux/testing";
import { expect, it } from "vitest";
import { STATE_DIRECTORY, STATE_MOUNT_POINT_SCRIPT } from "./link-scripts.ts";

/** Of everything that can be below /var/lib. */
const FILL = `set -e
mount -t tmpfs tmpfs /var/lib
cd /var/lib
mkdir plain .hidden "a name" mounted
echo one > plain/file
echo two > "a name/file"
echo three > text
echo four > "a text"
ln -s plain link
mkfifo pipe
mount -t tmpfs tmpfs mounted
echo five > mounted/file
cd /
`;
const LOOK = `
cd /var/lib
ls -A
cat plain/file "a name/file" text "a text" link/file mounted/file
`;

requires("lab")("the place for a host's state", () => {
  const inNamespace = (
    script: string,
  ): { stdout: string; stderr: string; status: number | null } => {
    const argv = ["--mount", "--propagation", "private", "sh", "-c", script];
    const { stdout, stderr, status } = spawnSync("unshare", argv, { encoding: "utf8" });
    return { stdout, stderr, status };
  };

  it("is made beside all that the machine has there", () => {
    expect(inNamespace(`${FILL}(${STATE_MOUNT_POINT_SCRIPT})${LOOK}`)).toEqual({
      stdout:
        ".hidden\na name\na text\nflannel\nlink\nmounted\nplain\ntext\none\ntwo\nthree\nfour\none\nfive\n",
      stderr: "",
      status: 0,
    });
  });

  it("is left as it is where there is one, and made where there is nothing else", () => {
    const kept = `${FILL}mkdir ${STATE_DIRECTORY}; echo six > ${STATE_DIRECTORY}/file`;
    const look = `cat ${STATE_DIRECTORY}/file; ls -A /var/lib | wc -l`;
    expect(inNamespace(`${kept}\n(${STATE_MOUNT_POINT_SCRIPT})\n${look}`).stdout).toBe("six\n9\n");
    const empty = `mount -t tmpfs tmpfs /var/lib\n(${STATE_MOUNT_POINT_SCRIPT})\nls -A /var/lib`;
    expect(inNamespace(empty)).toEqual({ stdout: "flannel\n", stderr: "", status: 0 });
  });
});
