import type { Clock } from "#core/clock";
import type { Machine, Settings } from "#core/engine/engine";
import type { Replication, Upstream } from "#core/engine/replication";
import { AppError } from "#core/error";
import type { Position } from "#core/guest/protocol";
import type { Connections, Sql } from "#core/engine/postgresql/connections";
import { inRecovery, serve } from "#core/engine/postgresql/followers";
import { glance } from "#core/engine/postgresql/files";
import { eventually } from "#core/engine/postgresql/process";
import { copyVolume } from "#core/engine/postgresql/seed";
import { placePassword } from "#core/engine/postgresql/standby";
import { isBefore, locationOf, look } from "#core/engine/postgresql/upstream";
import { isInitialised, type Layout } from "#core/engine/postgresql/volume";
import { log } from "#core/log";

/** For a stream to begin once the source answers: it comes up in a second or two, unless it cannot. */
const streamMs = 20_000;
/** For what was sent already to be replayed, and for a promotion. */
const catchUpMs = 60_000;
const promoteSeconds = 60;

export interface Host {
  machine: Machine;
  files: Layout;
  connections: Connections;
  clock: Clock;
  /** Writes settings down and has the running server take them up. */
  apply(settings: Settings): Promise<void>;
  start(settings: Settings): Promise<void>;
  stop(): Promise<void>;
  runs(): Promise<boolean>;
}

/** Physical replication of PostgreSQL: what `Replication` says, on one machine. */
export function replication(host: Host): Replication {
  const { machine, files, connections, clock } = host;
  const position = () => connections.main(positionOf);

  /** Down and up again as a standby that follows nobody. */
  async function stand(settings: Settings): Promise<Settings> {
    const held: Settings = { ...settings, standby: {} };
    if (await host.runs()) {
      if (await connections.main(inRecovery)) {
        await host.apply(held);
        return held;
      }
      // What is written now need not be written while nobody can write.
      await connections.main((sql) => sql`checkpoint`);
      await host.stop();
    }
    await host.start(held);
    return held;
  }

  async function copy(from: Upstream): Promise<void> {
    const superuser = from.superuser ?? (await glance(files.superuser))?.toString("utf8");
    if (superuser === undefined) throw new AppError("instanceFault", "The password of the source's agent was not given.", { reason: "replica.superuser", final: true });
    await copyVolume(machine, { ...from, superuser });
  }

  return {
    async serve(settings, verifiers) {
      // Access last on the way in, first on the way out: a role that is gone is let in by no rule.
      await host.apply(settings);
      await serve(connections, settings.members ?? [], verifiers, clock);
    },
    async superuser() {
      const password = (await glance(files.superuser))?.toString("utf8");
      if (password === undefined) throw new AppError("instanceFault", "The agent's password for the database server is gone.", { reason: "engine.damaged", final: true });
      return password;
    },
    async seed(from) {
      if (!(await isInitialised(files))) await copy(from);
    },
    async follow(settings, from) {
      const { source } = from;
      const state = await look(from);
      await placePassword(machine, files, source, from.password);
      const following: Settings = { ...settings, members: [], standby: { source, floors: state.floors } };
      let seeded = false;
      const anew = async (why: string) => {
        log.warn("the source's data is copied anew", { why });
        await host.stop();
        await copy(from);
        await host.start(following);
        seeded = true;
      };
      if (await isInitialised(files)) {
        await stand(following);
        const standing = await connections.main(placeOf);
        if (isBefore(state, standing)) await join(following);
        else await anew(`it ends at ${standing.end} of timeline ${standing.timeline}, where the source was not`);
      } else await anew("there is none");
      await dropFollowers();
      if (!(await streams()) && !seeded) {
        // Throws where the source is away: no reason to give up what is here.
        await look(from);
        await anew("the source has no longer what is missing");
      }
      if (!(await streams())) throw new AppError("serviceUnavailable", "The replica does not receive from its source.", { reason: "replica.stream", next: "Look at the logs of both instances." });
      return { settings: following, seeded };
    },
    async hold(settings) {
      const held = await stand(settings);
      return { settings: held, position: await position() };
    },
    async promote(settings, until) {
      const free = { ...settings };
      delete free.standby;
      await connections.main(async (sql) => {
        if (!(await inRecovery(sql))) return;
        if (until !== undefined) await arrive(sql, until);
        const [done] = await sql<{ ok: boolean }[]>`select pg_promote(true, ${promoteSeconds}) as ok`;
        if (!done?.ok) throw new AppError("serviceUnavailable", "The replica does not become a source.", { reason: "replica.promote", next: "Try again." });
      });
      await host.apply(free);
      // With it pg_control knows the new timeline, by which a former source finds out where it must follow.
      await connections.main((sql) => sql`checkpoint`);
      return free;
    },
    position,
  };

  async function dropFollowers(): Promise<void> {
    await serve(connections, [], {}, clock);
  }

  /** Takes a source up by a reload, unless it demands more than that. */
  async function join(settings: Settings): Promise<void> {
    await host.apply(settings);
    const [row] = await connections.fresh((sql) => sql<{ waiting: number }[]>`select count(*)::int as waiting from pg_settings where pending_restart`);
    if ((row?.waiting ?? 0) === 0) return;
    await host.stop();
    await host.start(settings);
  }

  function streams(): Promise<boolean> {
    return eventually(async () => (await position()).streaming === true, streamMs, clock);
  }

  async function arrive(sql: Sql, until: string): Promise<void> {
    const there = await eventually(async () => {
      const [row] = await sql<{ at: string | null }[]>`select pg_last_wal_replay_lsn()::text as at`;
      return row?.at != null && locationOf(row.at) >= locationOf(until);
    }, catchUpMs, clock);
    if (!there) throw new AppError("serviceUnavailable", `The replica did not get as far as ${until}.`, { reason: "replica.behind", next: "Look at its lag, and try again.", final: true });
  }
}

/**
 * Where the data of a standby ends, on which timeline. Its control file tells that of the last restart point; the name of
 * the segment in which it ends tells that of what came since.
 */
async function placeOf(sql: Sql): Promise<{ systemId: string; timeline: number; end: string }> {
  const [row] = await sql<{ system: string; timeline: number; end: string; segment: string }[]>`
    select s.system_identifier::text as system, greatest(c.timeline_id, r.min_recovery_end_timeline) as timeline,
           greatest(pg_last_wal_replay_lsn(), pg_last_wal_receive_lsn())::text as end, (select setting from pg_settings where name = 'wal_segment_size') as segment
    from pg_control_system() s, pg_control_checkpoint() c, pg_control_recovery() r`;
  if (!row) throw new Error("the server does not tell where it stands");
  const name = segmentOf(locationOf(row.end), BigInt(row.segment));
  const files = await sql<{ name: string }[]>`select name from pg_ls_waldir() where length(name) = 24 and substr(name, 9) = ${name}`;
  const timelines = files.map((file) => Number.parseInt(file.name.slice(0, 8), 16));
  return { systemId: row.system, timeline: Math.max(row.timeline, ...timelines), end: row.end };
}

/** The name, without the timeline, of the WAL file that holds the last byte before a location. */
function segmentOf(end: bigint, bytes: bigint): string {
  const number = (end > 0n ? end - 1n : end) / bytes;
  const perLog = (1n << 32n) / bytes;
  return [number / perLog, number % perLog].map((part) => part.toString(16).toUpperCase().padStart(8, "0")).join("");
}

async function positionOf(sql: Sql): Promise<Position> {
  const [row] = await sql<
    { standby: boolean; timeline: number; received: string; replayed: string; streaming: boolean; lag_bytes: string | null; lag_seconds: number | null; stalled: boolean }[]
  >`
    select standby, coalesce(w.received_tli, c.timeline_id) as timeline,
      case when standby then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) else pg_current_wal_flush_lsn() end::text as received,
      case when standby then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end::text as replayed,
      coalesce(w.status = 'streaming', false) as streaming,
      greatest(0, pg_wal_lsn_diff(greatest(w.latest_end_lsn, w.flushed_lsn), case when standby then pg_last_wal_replay_lsn() end))::text as lag_bytes,
      extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 as lag_seconds,
      case when standby then pg_get_wal_replay_pause_state() = 'paused' else false end as stalled
    from (select pg_is_in_recovery() as standby) r cross join pg_control_checkpoint() c left join pg_stat_wal_receiver w on true`;
  if (!row) throw new Error("the server does not tell where it stands");
  const base = { timeline: row.timeline, received: row.received, replayed: row.replayed };
  if (!row.standby) return { role: "source", ...base };
  const lagBytes = row.lag_bytes === null ? undefined : Number(row.lag_bytes);
  return {
    role: "replica",
    ...base,
    streaming: row.streaming,
    ...(lagBytes !== undefined && { lagBytes }),
    // Without news of the source nobody knows how much is missing; with all it has, nothing is.
    ...(row.streaming && lagBytes === 0 ? { lagSeconds: 0 } : row.lag_seconds !== null && { lagSeconds: Math.max(0, row.lag_seconds) }),
    ...(row.stalled && { stalled: true as const }),
  };
}
