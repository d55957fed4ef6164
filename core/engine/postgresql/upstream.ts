import postgres from "postgres";
import { X509Certificate } from "node:crypto";
import type { ConnectionOptions } from "node:tls";
import type { Source, Upstream } from "#core/engine/replication";
import { AppError } from "#core/error";
import type { Sql } from "#core/engine/postgresql/connections";
import { explained } from "#core/engine/postgresql/failure";

const connectSeconds = 10;

/** What a standby must have at least as much of as its source (manual, "Hot Standby", administrator's overview). */
const demanding = ["max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"] as const;

/** Work in a replication session at the source; SQL is not understood there, only replication commands. */
export async function upstream<T>({ source, password }: Pick<Upstream, "source" | "password">, work: (sql: Sql) => Promise<T>): Promise<T> {
  const { host, port, name } = source;
  const sql = postgres({
    host,
    port,
    username: name,
    password,
    ssl: tlsOf(source),
    max: 1,
    backoff: false,
    connect_timeout: connectSeconds,
    fetch_types: false,
    prepare: false,
    onnotice: () => {},
    connection: { application_name: name, replication: "true" },
  });
  try {
    return await work(sql);
  } catch (error) {
    throw explained(error);
  } finally {
    await sql.end({ timeout: 0 });
  }
}

/** The installation's CA says who has that address; a user's own certificate, whoever issued it, is known by itself. */
function tlsOf({ host, identity }: Source): ConnectionOptions {
  if ("ca" in identity) return { ca: identity.ca, host };
  const { fingerprint256: known } = new X509Certificate(identity.certificate);
  return {
    ca: identity.certificate,
    // Its issuer need not be known to us.
    allowPartialTrustChain: true,
    checkServerIdentity: (_, { fingerprint256 }) => (fingerprint256 === known ? undefined : new Error("the source presents another certificate than it reported")),
  };
}

const one = async (sql: Sql, command: string): Promise<Record<string, string>> => {
  const [row] = await sql.unsafe<Record<string, string>[]>(command).simple();
  if (!row) throw new AppError("serviceUnavailable", `The source does not answer ${command}.`, { reason: "replica.source" });
  return row;
};

export interface SourceState {
  systemId: string;
  timeline: number;
  position: string;
  /** Where each earlier timeline of it ended. */
  history: { timeline: number; end: string }[];
  floors: Record<string, number>;
}

/** What the source is, and what it demands of those that follow it. */
export async function look(from: Pick<Upstream, "source" | "password">): Promise<SourceState> {
  return upstream(from, async (sql) => {
    const system = await one(sql, "IDENTIFY_SYSTEM");
    const timeline = Number(system["timeline"]);
    const content = timeline > 1 ? ((await one(sql, `TIMELINE_HISTORY ${timeline}`))["content"] ?? "") : "";
    const floors: Record<string, number> = {};
    for (const name of demanding) floors[name] = Number(Object.values(await one(sql, `SHOW ${name}`))[0]);
    return { systemId: system["systemid"] ?? "", timeline, position: system["xlogpos"] ?? "0/0", history: historyOf(content), floors };
  });
}

/** Lines of a timeline history file: timeline, switch point, reason. */
const historyOf = (text: string) =>
  text.split("\n").flatMap((line) => {
    const [, timeline, end] = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/.exec(line) ?? [];
    return timeline !== undefined && end !== undefined ? [{ timeline: Number(timeline), end }] : [];
  });

/** A WAL location as a number. */
export function locationOf(text: string): bigint {
  const [, high, low] = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text) ?? [];
  if (high === undefined || low === undefined) throw new AppError("badRequest", "That is no WAL location.", { reason: "replica.location", final: true });
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** Whether data that ends there is a beginning of what the source has: it can follow without being copied anew. */
export function isBefore(state: SourceState, { systemId, timeline, end }: { systemId: string; timeline: number; end: string }): boolean {
  if (state.systemId !== systemId) return false;
  const last = timeline === state.timeline ? state.position : state.history.find((one) => one.timeline === timeline)?.end;
  return last !== undefined && locationOf(end) <= locationOf(last);
}
