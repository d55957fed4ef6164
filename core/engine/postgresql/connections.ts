import { join } from "node:path";
import postgres from "postgres";
import type { Clock } from "#core/clock";
import type { Machine } from "#core/engine/engine";
import { AppError } from "#core/error";
import { explained } from "#core/engine/postgresql/failure";
import { glance } from "#core/engine/postgresql/files";
import { home, superuser } from "#core/engine/postgresql/names";
import type { Layout } from "#core/engine/postgresql/volume";

export type Sql = postgres.Sql;

/** Long enough for the steps of one job to share it, short enough to cost an idle instance no memory. */
const idleSeconds = 5;
const connectSeconds = 10;
/** `sun_path` has 108 bytes; PostgreSQL and clients need some for themselves. */
const longestSocketPath = 100;

/**
 * Given at the start of every session of the agent's, and so above what the owner of a database
 * may have set for it with ALTER DATABASE, and a configuration group for all. No name means anything but PostgreSQL's own, nothing of the
 * session shows in statistics or logs (verifiers pass through), and no lock is awaited for ever.
 */
const parameters = {
  search_path: "pg_catalog",
  role: "none",
  standard_conforming_strings: "on",
  default_transaction_isolation: "read committed",
  default_transaction_read_only: "off",
  default_transaction_deferrable: "off",
  synchronous_commit: "on",
  default_tablespace: "",
  temp_tablespaces: "",
  row_security: "off",
  statement_timeout: "0",
  idle_in_transaction_session_timeout: "60000",
  idle_session_timeout: "0",
  lock_timeout: "30000",
  track_activities: "off",
  log_statement: "none",
  log_duration: "off",
  log_min_duration_statement: "-1",
  log_min_duration_sample: "-1",
  log_transaction_sample_rate: "0",
  log_min_error_statement: "panic",
  debug_print_parse: "off",
  debug_print_rewritten: "off",
  debug_print_plan: "off",
  exit_on_error: "off",
  array_nulls: "on",
  transform_null_equals: "off",
  session_replication_role: "origin",
  icu_validation_level: "error",
};
/** A server that does not know a parameter refuses the session. */
const since17 = { transaction_timeout: "0" };

const optionsFor = (major: number) =>
  Object.entries(major >= 17 ? { ...parameters, ...since17 } : parameters)
    .map(([name, value]) => `-c ${name}=${value.replaceAll(" ", "\\ ")}`)
    .join(" ");

/** The agent's way into its server: as the superuser, over the private socket. */
export class Connections {
  readonly #path: string;
  readonly #passwordFile: string;
  readonly #versionFile: string;
  readonly #clock: Clock;
  #main: Sql | undefined;

  constructor(machine: Machine, files: Layout, clock: Clock) {
    this.#path = join(machine.runDirectory, `.s.PGSQL.${machine.port}`);
    this.#passwordFile = files.superuser;
    this.#versionFile = join(files.pgdata, "PG_VERSION");
    this.#clock = clock;
    if (Buffer.byteLength(this.#path) >= longestSocketPath) {
      throw new AppError("serviceUnavailable", `The path ${this.#path} is too long for a socket.`, { reason: "engine.socket", next: "Choose a shorter run directory.", final: true });
    }
  }

  /** Work that belongs to the whole cluster. */
  async main<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    this.#main ??= await this.#open(home, idleSeconds);
    const used = this.#main;
    try {
      return await work(used);
    } catch (error) {
      // A connection that broke in the middle of a write never writes again (porsager/postgres#1208): none is used twice after an error.
      if (this.#main === used) this.#main = undefined;
      await used.end({ timeout: 0 });
      throw explained(error);
    }
  }

  /** Work inside one database. Only statements that run none of the tenant's code. */
  inside<T>(database: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.#once(database, work);
  }

  /** Whether a new session gets an answer in time. */
  async answers(ms: number): Promise<boolean> {
    const asked = this.fresh((sql) => sql`select 1`).then(
      () => true,
      // Refusal, loss and delay are all the same here: it does not answer.
      () => false,
    );
    const ended = new AbortController();
    try {
      return await Promise.race([asked, this.#clock.sleep(ms, ended.signal).then(() => false)]);
    } finally {
      ended.abort();
    }
  }

  /** Work in a session of its own, which shows what the server gives to new ones. */
  fresh<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.#once(home, work);
  }

  async close(): Promise<void> {
    const main = this.#main;
    this.#main = undefined;
    await main?.end({ timeout: 1 });
  }

  async #once<T>(database: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    const sql = await this.#open(database);
    try {
      return await work(sql);
    } catch (error) {
      throw explained(error);
    } finally {
      await sql.end({ timeout: 0 });
    }
  }

  async #open(database: string, idle?: number): Promise<Sql> {
    const password = (await glance(this.#passwordFile))?.toString("utf8");
    if (password === undefined) throw new AppError("instanceFault", "The agent's password for the database server is gone.", { reason: "engine.damaged", final: true });
    const options = optionsFor(Number((await glance(this.#versionFile))?.toString("utf8")));
    return postgres({
      path: this.#path,
      database,
      username: superuser,
      password,
      max: 1,
      ...(idle !== undefined && { idle_timeout: idle }),
      connect_timeout: connectSeconds,
      prepare: false,
      fetch_types: false,
      onnotice: () => {},
      // As bytes, unconverted: names of roles are the same bytes in every database, whatever its encoding.
      connection: { application_name: "coffer", client_encoding: "SQL_ASCII", options },
    });
  }
}

/**
 * Several statements as one: all are done, or none. In one message, which PostgreSQL makes one
 * transaction of: the driver's own transactions end the process when their connection breaks between two statements.
 */
export async function together(sql: Sql, statements: string[]): Promise<void> {
  if (statements.length > 0) await sql.unsafe(statements.join(";\n"));
}
