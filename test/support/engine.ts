import { randomBytes, randomInt } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { createEngine } from "#core/engine/index";
import type { Engine, Machine, Settings } from "#core/engine/engine";
import { serverPid, stopServer } from "#core/engine/postgresql/cluster";
import { scramVerifier } from "#core/guest/scram";
import { nativeOf, serverUser, temporary } from "#test/support/cluster";

export const settings: Settings = { memoryMb: 512, volumeGb: 1, cidrs: null };
/** As root, an engine runs as a user of its own that no passwd file knows. */
const engineUser = serverUser && { uid: 54321, gid: 54321 };

export interface Rig {
  engine: Engine;
  machine: Machine;
  pgdata: string;
  /** Another Engine object on the same machine, as after the replacement of the agent. */
  again(): Engine;
  /** Makes a user with this password, let into these databases. */
  user(name: string, password: string, databases?: string[]): Promise<void>;
  /** A tenant's session over TCP. */
  connect(user: string, password: string, database: string, ssl?: postgres.Options<Record<string, never>>["ssl"]): postgres.Sql;
  /** The same as the agent's superuser, to look at what the tenant cannot. */
  inside<T>(database: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T>;
  pid(): Promise<number>;
  close(): Promise<void>;
}

/** An engine on a machine of its own, not initialised yet. */
export async function engineRig(major = "17"): Promise<Rig> {
  const top = await temporary("coffer-engine-");
  const native = await nativeOf(major, top);
  const machine: Machine = {
    stateDirectory: join(top, "state"),
    volumeDirectory: join(top, "volume"),
    runDirectory: join(top, "run"),
    engineDirectory: native,
    address: `127.77.${randomInt(256)}.${randomInt(1, 255)}`,
    port: 5432,
    ...(engineUser && { engineUser }),
  };
  await mkdir(machine.volumeDirectory);
  const pgdata = join(machine.volumeDirectory, "pgdata");
  const engines: Engine[] = [];
  const sessions: postgres.Sql[] = [];
  const create = () => {
    const made = createEngine("postgresql", machine, major);
    engines.push(made);
    return made;
  };
  const engine = create();
  return {
    engine,
    machine,
    pgdata,
    again: create,
    async user(name, password, databases = []) {
      await engine.createUsers({ users: [{ name, verifier: await scramVerifier(password), databases }] });
    },
    connect(user, password, database, ssl = false) {
      const sql = postgres({
        host: machine.address,
        port: machine.port,
        user,
        password,
        database,
        ssl,
        max: 1,
        backoff: false,
        connect_timeout: 10,
        fetch_types: false,
        onnotice: () => {},
      });
      sessions.push(sql);
      return sql;
    },
    async inside(database, work) {
      const password = await readFile(join(machine.volumeDirectory, "superuser"), "utf8");
      const sql = postgres({ path: join(machine.runDirectory, ".s.PGSQL.5432"), user: "os_admin", password, database, max: 1, fetch_types: false, onnotice: () => {} });
      try {
        return await work(sql);
      } finally {
        await sql.end({ timeout: 1 });
      }
    },
    async pid() {
      const pid = await serverPid(pgdata);
      if (pid === undefined) throw new Error("the server does not run");
      return pid;
    },
    async close() {
      await Promise.all(sessions.map((sql) => sql.end({ timeout: 0 })));
      await stopServer(pgdata, { mode: "immediate" });
      await Promise.all(engines.map((one) => one.close()));
      await rm(top, { recursive: true, force: true });
    },
  };
}

/** The same, initialised and started. */
export async function startedEngine(major = "17"): Promise<Rig> {
  const rig = await engineRig(major);
  await rig.engine.initialise();
  await rig.engine.start(settings);
  return rig;
}

export const newVerifier = () => scramVerifier(randomBytes(12).toString("hex"));

/** The code of PostgreSQL's refusal, or "" when it went through. */
export async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}
