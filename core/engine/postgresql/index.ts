import { rm } from "node:fs/promises";
import { systemClock, type Clock } from "#core/clock";
import { writeLimits, type Engine, type Health, type Machine, type Settings } from "#core/engine/engine";
import { AppError, badRequest, describe } from "#core/error";
import { backup } from "#core/engine/postgresql/backup/backup";
import { restore } from "#core/engine/postgresql/backup/restore";
import * as spool from "#core/engine/postgresql/backup/spool";
import { parseSegment, positionOf, SEGMENT_BYTES } from "#core/engine/postgresql/backup/wal";
import { accessText, networks } from "#core/engine/postgresql/access";
import { asRoot, hydrate, privateDirectory } from "#core/engine/postgresql/cluster";
import { checkConfiguration, readable } from "#core/engine/postgresql/configuration";
import { Connections } from "#core/engine/postgresql/connections";
import { createDatabases, deleteDatabase, establish } from "#core/engine/postgresql/databases";
import { applyExtensions, removeExtensions } from "#core/engine/postgresql/extensions";
import { glance, place, placeIfNew } from "#core/engine/postgresql/files";
import { endWriters, guardText, inForce } from "#core/engine/postgresql/guard";
import { inventory } from "#core/engine/postgresql/inventory";
import { longestLog, olderLog } from "#core/engine/postgresql/log";
import { eventually } from "#core/engine/postgresql/process";
import { deleteUser } from "#core/engine/postgresql/removal";
import { setAside, spend } from "#core/engine/postgresql/reserve";
import { replication } from "#core/engine/postgresql/replication";
import { disableRoot, enableRoot } from "#core/engine/postgresql/root";
import { Server } from "#core/engine/postgresql/server";
import { generalLog, overridesText, settingsText } from "#core/engine/postgresql/settings";
import { raiseSignal, replicationText } from "#core/engine/postgresql/standby";
import { endOpen, placeCertificate } from "#core/engine/postgresql/tls";
import { VolumeMeter } from "#core/engine/postgresql/usage";
import { changePasswords, createUsers, grant, revoke, updateUser } from "#core/engine/postgresql/users";
import { checkMajor, initialiseVolume, isInitialised, layout } from "#core/engine/postgresql/volume";
import { log } from "#core/log";

export { adoptVolume, prepareVolume } from "#core/engine/postgresql/volume";

/** The type of module that this engine knows. */
const EXTENSIONS = "postgresql_extensions";
const answerMs = 3_000;
const reloadMs = 10_000;
/** For PostgreSQL to hand over some dozens of segments; it waits a second after each attempt that fails. */
const relieveMs = 30_000;

/** PostgreSQL on one machine, as the agent drives it. `version` is the datastore version's name, e.g. `17`. */
export function createPostgresql(machine: Machine, version: string, clock: Clock = systemClock): Engine {
  const files = layout(machine.volumeDirectory);
  const connections = new Connections(machine, files, clock);
  const server = new Server(machine, files, clock, () => longestLog({ volumeGb: volumeGb ?? 1, full: isFull }));
  const meter = new VolumeMeter(machine, clock);
  const user = asRoot() ? machine.engineUser : undefined;
  let volumeGb: number | undefined;
  /** Whether every statement is logged. */
  let isFull = false;

  async function configure(settings: Settings): Promise<void> {
    volumeGb = settings.volumeGb;
    isFull = settings.logs?.includes(generalLog) ?? false;
    await admit(settings, settings.cidrs);
    await place(files.replication, replicationText(files, settings), readable(machine));
    // Every session says in the log that an included file is missing.
    for (const later of [files.tls, files.guard]) if (!(await glance(later))) await place(later, "", readable(machine));
    await place(files.overrides, overridesText(settings.overrides), readable(machine));
    await spool.placeSpool(machine, files, settings);
    await place(files.settings, settingsText(machine, files, settings, files.overrides), readable(machine));
  }

  /** Tenants come in from these networks. */
  const admit = ({ tlsMode, members }: Settings, cidrs: Settings["cidrs"]) => place(files.access, accessText(cidrs, tlsMode, members), readable(machine));

  /** Resolves when new sessions come under the settings on disk: the postmaster has read them then, access rules and certificate too. */
  async function reload(): Promise<void> {
    const loaded = () => connections.fresh((sql) => sql<{ at: string }[]>`select pg_conf_load_time()::text as at`).then(([row]) => row?.at);
    const before = await loaded();
    await connections.main((sql) => sql`select pg_reload_conf()`);
    if (await eventually(async () => (await loaded()) !== before, reloadMs, clock)) return;
    throw new AppError("serviceUnavailable", "The database server does not take up its new settings.", { reason: "engine.reload", next: "Try again." });
  }

  async function mustBeInitialised(): Promise<void> {
    if (!(await isInitialised(files))) throw new AppError("conflict", "The volume holds no database cluster yet.", { reason: "engine.absent", final: true });
  }

  async function bring(settings: Settings): Promise<void> {
    await mustBeInitialised();
    await checkMajor(files, machine.engineDirectory);
    const runs = (await server.pid()) !== undefined;
    await connections.close();
    if (!runs) await privateDirectory(machine.runDirectory, user);
    await configure(settings);
    if (!runs && settings.standby) await raiseSignal(machine, files);
    await serve(settings);
    if (runs) await reload();
    await establish(connections);
  }

  /** As `bring`, without a start. */
  async function apply(settings: Settings): Promise<void> {
    await mustBeInitialised();
    await configure(settings);
    if ((await server.pid()) !== undefined) await reload();
  }

  /**
   * A server that finds no room for WAL is given what was set aside for it, and nobody may write then. Tenants come in when it has
   * got rid of its old WAL, and does with the room that this had: one that insists on writing would have the server end again.
   */
  async function serve(settings: Settings): Promise<void> {
    try {
      await server.start();
    } catch (error) {
      if (!describe(error).includes("No space left on device") || !(await spend(files.reserve))) throw error;
      log.error("the volume is full: the server starts with what was set aside", { error: describe(error) });
      await placeIfNew(files.guard, guardText("closed"), readable(machine));
      await place(files.yields, "", readable(machine));
      await admit(settings, []);
      await server.start();
      if (!(await eventually(async () => !(await spool.isBehind(files)), relieveMs, clock))) log.warn("old WAL is not given up");
      await connections.main((sql) => sql`checkpoint`);
      await admit(settings, settings.cidrs);
      await reload();
    }
  }

  async function end(): Promise<void> {
    await connections.close();
    await server.stop();
  }

  return {
    version,
    replication: replication({ machine, files, connections, clock, apply, start: bring, stop: end, runs: async () => (await server.pid()) !== undefined }),
    initialised: () => isInitialised(files),
    async initialise() {
      await hydrate(machine.engineDirectory);
      await initialiseVolume(machine);
    },
    start: bring,
    stop: end,
    async restart(settings) {
      await end();
      await bring(settings);
    },
    async applyAccess(settings) {
      await mustBeInitialised();
      await configure(settings);
      if ((await server.pid()) === undefined) return;
      await reload();
      // Rules are looked at when a session begins; those of networks that are out now end.
      const allowed = networks(settings.cidrs).join(",");
      await connections.main(
        (sql) => sql`
          select pg_terminate_backend(pid) from pg_stat_activity
          where client_addr is not null and backend_type = 'client backend'
            and not exists (select from unnest(string_to_array(${allowed}, ',')::inet[]) as net where client_addr <<= net)`,
      );
    },
    async check(settings) {
      await mustBeInitialised();
      await checkConfiguration(machine, files, settings);
    },
    async applyConfiguration(settings) {
      await mustBeInitialised();
      await checkConfiguration(machine, files, settings);
      await configure(settings);
      await reload();
      const waiting = await connections.fresh((sql) => sql<{ name: string }[]>`select lower(name) as name from pg_settings where pending_restart order by 1`);
      return waiting.map(({ name }) => name);
    },
    logs: () => [{ name: generalLog, type: "USER", path: files.log, previous: olderLog(files.log) }],
    /** Trove restarts the server for its log collector (contract §5.5). Ours writes to a file of the agent's from its start, so a reload is all it takes. */
    applyLogs: apply,
    async applyTls(settings, tls) {
      await mustBeInitialised();
      await placeCertificate(machine, files, settings.tlsMode, tls);
      await configure(settings);
      if ((await server.pid()) === undefined) return;
      await reload();
      if (settings.tlsMode === "enforced" || settings.tlsMode === "mtls") await endOpen(connections, settings.tlsMode);
    },
    async health(): Promise<Health> {
      if ((await server.pid()) === undefined) return (await server.endedInOrder()) ? "shutdown" : "crashed";
      return (await connections.answers(answerMs)) ? "healthy" : "running";
    },
    exited: () => server.exited(),
    inventory: () => inventory(connections),
    usage: () => meter.read(volumeGb),
    async limitWrites(writes) {
      await mustBeInitialised();
      // Given back for a start only: while the server runs, whoever fills the volume would have it before WAL does.
      if (writes === "open" && (await meter.isOwn())) {
        await setAside(files.reserve);
        await rm(files.yields, { force: true });
      }
      const runs = (await server.pid()) !== undefined;
      const before = runs ? await inForce(connections) : undefined;
      const stricter = before !== undefined && writeLimits.indexOf(writes) > writeLimits.indexOf(before);
      // Before anything else: whoever fills the volume now does not wait for a file to be written.
      if (stricter || (before === "closed" && writes === "closed")) await endWriters(connections, "all");
      if (before === writes) return;
      await placeIfNew(files.guard, guardText(writes), readable(machine));
      if (runs) await reload();
      if (stricter) await endWriters(connections, writes === "closed" ? "all" : "older");
    },
    createDatabases: ({ databases }) => createDatabases(connections, databases),
    deleteDatabase: ({ name }) => deleteDatabase(connections, name),
    createUsers: ({ users }) => createUsers(connections, users),
    changePasswords: ({ users }) => changePasswords(connections, users),
    updateUser: (spec) => updateUser(connections, spec),
    deleteUser: ({ name }) => deleteUser(connections, name, clock),
    grant: (spec) => grant(connections, spec),
    revoke: (spec) => revoke(connections, spec),
    enableRoot: ({ verifier }) => enableRoot(connections, verifier),
    disableRoot: ({ verifier }) => disableRoot(connections, verifier, clock),
    async applyModule({ id, type, contents }) {
      if (type === EXTENSIONS) return applyExtensions(connections, id, contents);
      throw badRequest(`PostgreSQL has no module type ${type}.`, { reason: "module.type", final: true });
    },
    async removeModule({ id, type }) {
      if (type === EXTENSIONS) await removeExtensions(connections, id);
    },
    physical: {
      async backup(order, sink) {
        await mustBeInitialised();
        return backup(connections, files.pgdata, order, sink, clock);
      },
      restore: (order) => restore(machine, connections, order, clock),
      pieces: () => spool.pieces(files),
      content: (piece) => spool.contentOf(files, piece),
      release: (piece) => spool.release(files, piece),
      lost: () => spool.lost(files),
      forget: () => spool.forget(files),
      turn: () => connections.main(async (sql) => void (await sql`select pg_switch_wal()`)),
      position: () => connections.main(positionOf),
      stretch(name) {
        const found = parseSegment(name);
        return found && { timeline: found.timeline, from: found.number * SEGMENT_BYTES, to: (found.number + 1n) * SEGMENT_BYTES };
      },
    },
    async close() {
      server.close();
      await connections.close();
    },
  };
}
