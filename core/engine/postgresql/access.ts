import { isIP } from "node:net";
import { badRequest } from "#core/error";
import type { TlsMode } from "#core/guest/protocol";
import type { Member } from "#core/engine/replication";
import { followerPrefix, shown, superuser } from "#core/engine/postgresql/names";

/**
 * `pg_hba.conf`, first match wins. The agent's role comes in by the private socket and nowhere
 * else, nobody else does by it; replicas come by TLS from their own addresses, for the stream alone; tenants come by TCP from the
 * networks named, always with a password, and as the mode demands: by TLS, or by TLS with a certificate of their own besides.
 */
export function accessText(cidrs: string[] | null, mode: TlsMode = "builtin", members: Member[] = []): string {
  const type = mode === "enforced" || mode === "mtls" ? "hostssl" : "host";
  const demand = mode === "mtls" ? " clientcert=verify-ca" : "";
  const tcp = networks(cidrs).map((cidr) => `${type} all all ${cidr} scram-sha-256${demand}`);
  return [
    `local all ${superuser} scram-sha-256`,
    "local all all reject",
    `host all ${superuser} all reject`,
    ...members.map(({ name, address }) => `hostssl replication ${name} ${origin(address)} scram-sha-256`),
    "host replication all all reject",
    // A regular expression: of PostgreSQL 16 and later.
    `host all "/^${followerPrefix}" all reject`,
    ...tcp,
    "host all all all reject",
    "",
  ].join("\n");
}

/** Where a server that listens there connects from. Of the loopback addresses a system picks one by itself, whichever the server has. */
const origin = (address: string) => (isIP(address) === 4 && address.startsWith("127.") ? "127.0.0.0/8" : network(address));

/** In PostgreSQL's spelling. AppError `badRequest` for what is no network. */
export const networks = (cidrs: string[] | null): string[] => (cidrs ?? ["0.0.0.0/0", "::/0"]).map(network);

function network(cidr: string): string {
  const [address = "", bits, ...more] = cidr.split("/");
  const kind = address.includes("%") ? 0 : isIP(address);
  const longest = kind === 4 ? 32 : 128;
  const isLength = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= longest);
  if (kind === 0 || !isLength || more.length > 0) throw badRequest(`${shown(cidr)} is no network in CIDR notation.`, { reason: "access.cidr", final: true });
  return `${address}/${bits ?? longest}`;
}
