import { PgDatabase, PgDialect } from "drizzle-orm/pg-core";
import { drizzle, PostgresJsSession, type PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { ambient, within } from "#core/context";

/** A drizzle handle bound to one connection with an open transaction. */
export type Tx = PgDatabase<PostgresJsQueryResultHKT>;

export interface DatabaseOptions {
  /** Connections at most. 1 in a Lambda; everything here must work with 1. */
  max: number;
  /** Directory of a Unix socket, instead of the host in the URL. */
  socketDirectory?: string;
  /** Named prepared statements; off behind a transaction-mode pooler. */
  prepare: boolean;
}

/**
 * One pool, connected as one of the roles `coffer_app` (tenant requests, no way round
 * row-level security) or `coffer_system` (workflows, relay, sweeps, by explicit policy).
 */
export class Database {
  readonly #sql: postgres.Sql;
  readonly #dialect = new PgDialect();
  readonly #prepare: boolean;

  constructor(url: string, options: DatabaseOptions) {
    this.#prepare = options.prepare;
    const port = new URL(url).port || "5432";
    this.#sql = postgres(url, {
      max: options.max,
      prepare: options.prepare,
      // Must stay on: without this first query, reserve() on a new connection never resolves (postgres 3.4).
      fetch_types: true,
      idle_timeout: 60,
      connect_timeout: 10,
      onnotice: () => {},
      ...(options.socketDirectory && { path: `${options.socketDirectory}/.s.PGSQL.${port}` }),
    });
    // Called for its effect on the client: timestamps and json stay text, drizzle's columns map them.
    drizzle(this.#sql);
  }

  /**
   * A transaction on a connection of its own. BEGIN, the actor's settings and the first
   * statement travel together; only COMMIT is awaited alone.
   */
  async begin<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const connection = await this.#sql.reserve();
    try {
      const begun = this.#open(connection);
      let result: T;
      try {
        result = await work(this.#handle(connection));
        await begun;
      } catch (error) {
        await connection.unsafe("rollback").catch(() => {
          // A broken connection has rolled back by itself; the first error is the one to tell.
        });
        throw error;
      }
      await connection.unsafe("commit");
      return result;
    } finally {
      connection.release();
    }
  }

  /**
   * Statements that do not depend on each other's results, in one round trip: BEGIN, the
   * actor's settings, what `work` issues before it awaits anything else, and COMMIT.
   */
  async pipeline<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const connection = await this.#sql.reserve();
    try {
      const begun = this.#open(connection);
      // A drizzle query runs anew at every then(): one promise, awaited as often as needed.
      const result = Promise.resolve(work(this.#handle(connection)));
      // A tick asked for inside a microtask comes after all microtasks: the statements are queued by then.
      const committed = new Promise<void>((resolve) => process.nextTick(resolve)).then(() => connection.unsafe("commit"));
      const settled = await Promise.allSettled([result, begun, committed]);
      const failed = settled.find((one) => one.status === "rejected");
      if (failed) throw failed.reason;
      return await result;
    } finally {
      connection.release();
    }
  }

  async close() {
    await this.#sql.end({ timeout: 5 });
  }

  /** Sends BEGIN and the actor without waiting; whoever awaits the work must await this too. */
  #open(connection: postgres.ReservedSql) {
    const { actor } = ambient();
    const [project, admin] = actor.kind === "user" ? [actor.projectId, actor.isAdmin ? "on" : "off"] : ["", "off"];
    const begun = Promise.all([
      connection.unsafe("begin"),
      connection.unsafe("select set_config('coffer.project_id', $1, true), set_config('coffer.admin', $2, true)", [
        project,
        admin,
      ], { prepare: this.#prepare }),
    ]);
    begun.catch(() => {
      // Rejections reach the caller through the await in begin() and pipeline().
    });
    return begun;
  }

  #handle(connection: postgres.ReservedSql): Tx {
    // drizzle sends every statement through unsafe(), whose default is an unnamed statement that is described
    // first: two round trips, and nothing behind it in the pipeline.
    const client = {
      unsafe: (text: string, values: never[]) => connection.unsafe(text, values, { prepare: this.#prepare }),
    };
    const session = new PostgresJsSession(client as never, this.#dialect, undefined, {});
    return new PgDatabase(this.#dialect, session as never, undefined);
  }
}

/** Runs `work` in a transaction; joins the one already open. No network inside. */
export function transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
  const { tx, db } = ambient();
  if (tx) return work(tx);
  return db.begin((opened) => within({ tx: opened }, () => work(opened)));
}

/** One statement, or several independent ones issued together, in one round trip. */
export function read<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
  const { tx, db } = ambient();
  return tx ? work(tx) : db.pipeline(work);
}

/** The open transaction; for functions that only make sense inside one. */
export function inside(): Tx {
  const { tx } = ambient();
  if (!tx) throw new Error("this must run inside transaction()");
  return tx;
}
