/** What an agent shows to etcd, and what it asks of etcd's certificate: the PEM files of `--etcd-*file`. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { getCACertificates } from "node:tls";
import { AgentError } from "../../core/errors.ts";

export interface CertificateFiles {
  /** The agent's own key, or empty for none; goes with `certificate`. */
  readonly key: string;
  readonly certificate: string;
  /** The authorities that etcd's certificate may be signed by, or empty for those of the system. */
  readonly authorities: string;
}

export interface Certificates {
  /** Of all authorities that count, one after the other. */
  readonly rootCertificate: Buffer;
  readonly privateKey: Buffer | null;
  readonly certChain: Buffer | null;
}

/** For each file the flag that names it. */
const FLAGS = {
  key: "--etcd-keyfile",
  certificate: "--etcd-certfile",
  authorities: "--etcd-cafile",
} as const;

type Part = keyof typeof FLAGS;
const PARTS: readonly Part[] = ["key", "certificate", "authorities"];

/**
 * Reads and checks the files, so that a bad one is one clear line and no handshake that fails for ever.
 * @throws AgentError "file-unusable"
 */
export function readCertificates(files: CertificateFiles): Certificates {
  const [privateKey, certChain, rootCertificate] = PARTS.map((part) => readPart(part, files));
  const key = check("key", files, privateKey, (pem) => createPrivateKey(pem));
  const certificate = check("certificate", files, certChain, (pem) => new X509Certificate(pem));
  check("authorities", files, rootCertificate, (pem) => new X509Certificate(pem));
  if (key !== undefined && certificate !== undefined && !certificate.checkPrivateKey(key))
    throw unusable(
      "certificate",
      files,
      `it does not belong to the key in ${FLAGS.key} ${files.key}`,
    );
  return {
    privateKey: privateKey ?? null,
    certChain: certChain ?? null,
    rootCertificate: rootCertificate ?? systemAuthorities(),
  };
}

/**
 * What the machine trusts, and what NODE_EXTRA_CA_CERTS adds. Read once per process, as in the reference, and heeding SSL_CERT_FILE and
 * SSL_CERT_DIR. Source: crypto/x509 root_unix.go loadSystemRoots; node:tls getCACertificates.
 */
function systemAuthorities(): Buffer {
  const system = getCACertificates("system");
  // A bare image has none. Node's own list is Mozilla's, which most distributions install: an etcd that all the world trusts is
  // reached from there too. By name, because what Node trusts by default depends on how it was started.
  const counting = system.length > 0 ? system : getCACertificates("bundled");
  // A distribution's directory has each of them up to three times, by name, by hash and in one file for all; parsing takes its time.
  const distinct = new Set([...counting, ...getCACertificates("extra")]);
  return Buffer.from([...distinct].join("\n"));
}

/** Changes when a file is written or replaced, and also, as with Kubernetes secrets, when a link on the way to it is. */
export function fingerprint(files: CertificateFiles): string {
  return PARTS.map((part) => {
    const found = files[part] === "" ? undefined : statSync(files[part], { throwIfNoEntry: false });
    return found === undefined ? "-" : `${found.dev}:${found.ino}:${found.mtimeMs}:${found.size}`;
  }).join(" ");
}

function readPart(part: Part, files: CertificateFiles): Buffer | undefined {
  if (files[part] === "") return undefined;
  try {
    return readFileSync(files[part]);
  } catch (error) {
    throw unusable(part, files, error instanceof Error ? error.message : String(error));
  }
}

function check<Parsed>(
  part: Part,
  files: CertificateFiles,
  pem: Buffer | undefined,
  parse: (pem: Buffer) => Parsed,
): Parsed | undefined {
  try {
    return pem === undefined ? undefined : parse(pem);
  } catch {
    // The parser's own words might repeat what is in the file.
    throw unusable(
      part,
      files,
      part === "key" ? "no unencrypted private key in PEM form" : "no certificate in PEM form",
    );
  }
}

function unusable(part: Part, files: CertificateFiles, reason: string): AgentError {
  return new AgentError(
    "file-unusable",
    `cannot use ${FLAGS[part]} ${files[part]}: ${reason}; give a readable PEM file, or leave the flag out`,
  );
}
