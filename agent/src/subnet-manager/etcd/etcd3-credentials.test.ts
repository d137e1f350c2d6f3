import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";

const MODULE = JSON.stringify(new URL("./etcd3-credentials.ts", import.meta.url).href);
const READER = `
  const { readCertificates } = await import(${MODULE});
  const { rootCertificate } = readCertificates({ key: "", certificate: "", authorities: "" });
  process.stdout.write(rootCertificate.toString());
`;

let directory: string;
let system: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "authorities-"));
  system = join(directory, "system");
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** Whom an agent without a file trusts, in another process, because Node reads the system's certificates once. */
async function trusted(
  extra: string,
  nodeFlags: readonly string[] = [],
): Promise<readonly string[]> {
  const env = {
    SSL_CERT_FILE: join(directory, "absent"),
    SSL_CERT_DIR: system,
    NODE_EXTRA_CA_CERTS: extra,
  };
  const words = [...nodeFlags, "--input-type=module", "--eval", READER];
  const { stdout } = await promisify(execFile)(process.execPath, words, { env });
  return subjects(stdout.match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g) ?? []);
}

function subjects(pems: readonly string[]): readonly string[] {
  return pems.map((pem) => new X509Certificate(pem).subject).toSorted();
}

test("the authorities of the system and those that Node was given count, each once", async () => {
  const samples = rootCertificates.slice(0, 3);
  const [first = "", second = "", third = ""] = samples;
  mkdirSync(system);
  writeFileSync(join(system, "first.pem"), first);
  symlinkSync("first.pem", join(system, "0f0f0f0f.0"));
  writeFileSync(join(system, "all.crt"), `${first}\n${second}\n`);
  const extra = join(directory, "extra.pem");
  writeFileSync(extra, third);
  expect(await trusted(extra)).toEqual(subjects(samples));
});

test.each([[[]], [["--use-openssl-ca"]]])(
  "Node's own count where the system has none, however Node was started: %j",
  async (nodeFlags) => {
    expect(await trusted("", nodeFlags)).toEqual(subjects(rootCertificates));
  },
);
