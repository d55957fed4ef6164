import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Machine } from "#core/engine/engine";
import { badRequest } from "#core/error";
import { asRoot } from "#core/engine/postgresql/cluster";
import { place } from "#core/engine/postgresql/files";
import type { Layout } from "#core/engine/postgresql/volume";

/**
 * Puts certificate and key where the server's next look at its settings finds them. They share
 * one file, so that no crash leaves a certificate with the key of another. PEM. AppError `badRequest` when they do not match.
 */
export async function placeCertificate(machine: Machine, files: Layout, { certificate, key, ca }: { certificate: string; key: string; ca: string }): Promise<void> {
  if (!matches(certificate, key)) throw badRequest("The certificate and the key do not belong together.", { reason: "tls.pair", final: true });
  const who = asRoot() && machine.engineUser ? { mode: 0o640, gid: machine.engineUser.gid } : { mode: 0o600 };
  // The CA goes out with the handshake, so that a client can be shown whom to trust.
  await place(files.pair, [certificate, ca, key].map((pem) => `${pem.trim()}\n`).join(""), who);
  const quoted = `'${files.pair.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
  await place(files.tls, `ssl = on\nssl_cert_file = ${quoted}\nssl_key_file = ${quoted}\n`, who);
}

function matches(certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    // Not PEM, or of a kind that OpenSSL does not know: no pair either.
    return false;
  }
}
