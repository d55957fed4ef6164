import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Machine } from "#core/engine/engine";
import { badRequest } from "#core/error";
import { asRoot } from "#core/engine/postgresql/cluster";
import type { Connections } from "#core/engine/postgresql/connections";
import { place } from "#core/engine/postgresql/files";
import type { Layout } from "#core/engine/postgresql/volume";
import type { TlsBundle, TlsMode } from "#core/guest/protocol";

/**
 * Puts certificate and key where the server's next look at its settings finds them. They share
 * one file, so that no crash leaves a certificate with the key of another. PEM. AppError `badRequest` when they do not match.
 */
export async function placeCertificate(machine: Machine, files: Layout, mode: TlsMode | undefined, { certificate, key, ca }: TlsBundle): Promise<void> {
  if (!matches(certificate, key)) throw badRequest("The certificate and the key do not belong together.", { reason: "tls.pair", final: true });
  const who = asRoot() && machine.engineUser ? { mode: 0o640, gid: machine.engineUser.gid } : { mode: 0o600 };
  // The CA goes out with the handshake, so that a client can be shown whom to trust.
  await place(files.pair, [certificate, ca, key].map((pem) => (pem === "" ? "" : `${pem.trim()}\n`)).join(""), who);
  const set = (name: string, value: string) => `${name} = '${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'\n`;
  // A server that knows a CA asks every client for a certificate, and refuses those of other CAs: in mtls only.
  const client = mode === "mtls" ? files.clientCa : "";
  if (client) await place(files.clientCa, ca, who);
  await place(files.tls, `ssl = on\n${set("ssl_cert_file", files.pair)}${set("ssl_key_file", files.pair)}${set("ssl_ca_file", client)}`, who);
}

/** Rules are looked at when a session begins: ends those of tenants that would not be let in any more. */
export async function endOpen(connections: Connections, mode: "enforced" | "mtls"): Promise<void> {
  await connections.main(
    (sql) => sql`
      select pg_terminate_backend(a.pid) from pg_stat_activity a join pg_stat_ssl s using (pid)
      where a.client_addr is not null and a.backend_type = 'client backend' and (not s.ssl or (${mode === "mtls"} and s.client_dn is null))`,
  );
}

function matches(certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    // Not PEM, or of a kind that OpenSSL does not know: no pair either.
    return false;
  }
}
