/** Certificates for a test, made by openssl in a directory that goes with it. */
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface KeyPair {
  readonly key: string;
  readonly certificate: string;
}

export class TestAuthority implements AsyncDisposable {
  readonly certificate: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.certificate = join(directory, "ca.crt");
  }

  static async open(): Promise<TestAuthority> {
    const authority = new TestAuthority(await mkdtemp(join(tmpdir(), "certificates-")));
    await authority.#request("ca", "/CN=authority", ["-x509", "-days", "2"], "ca.crt");
    return authority;
  }

  path(name: string): string {
    return join(this.#directory, name);
  }

  /** Signed by this authority, for 127.0.0.1 as server or client. */
  async sign(name: string): Promise<KeyPair> {
    const extension = ["-addext", "subjectAltName=IP:127.0.0.1"];
    await this.#request(name, `/CN=${name}`, extension, `${name}.csr`);
    const files = [
      "-in",
      `${name}.csr`,
      "-out",
      `${name}.crt`,
      "-CA",
      "ca.crt",
      "-CAkey",
      "ca.key",
    ];
    await run(
      "openssl",
      ["x509", "-req", ...files, "-CAcreateserial", "-days", "2", "-copy_extensions", "copy"],
      { cwd: this.#directory },
    );
    return { key: this.path(`${name}.key`), certificate: this.path(`${name}.crt`) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #request(
    name: string,
    subject: string,
    more: readonly string[],
    out: string,
  ): Promise<void> {
    const key = ["-newkey", "rsa:2048", "-nodes", "-keyout", `${name}.key`];
    const argv = ["req", "-new", ...key, "-subj", subject, "-out", out, ...more];
    await run("openssl", argv, { cwd: this.#directory });
  }
}

/** Puts a pair where another was, the way a rotation does it: each file in one step. */
export async function replacePair(target: KeyPair, source: KeyPair): Promise<void> {
  for (const part of ["key", "certificate"] as const) {
    await copyFile(source[part], `${target[part]}.new`);
    await rename(`${target[part]}.new`, target[part]);
  }
}
