import type { PgDatabase } from "drizzle-orm/pg-core";
import type { PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import { ambient, within } from "#core/context";
import { Pool, settings, type Connection } from "#core/db/pool";

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
  readonly #pool: Pool;
  readonly #pooled: boolean;

  constructor(url: string, options: DatabaseOptions) {
    this.#pool = new Pool(url, options);
    this.#pooled = !options.prepare;
  }

  /**
   * A transaction. BEGIN, the actor's settings and the first statement travel together; only
   * COMMIT is awaited alone.
   */
  begin<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#pool.lend(async (connection) => {
      const begun = open(connection, acting());
      let result: T;
      try {
        result = await work(connection.tx);
        await begun;
      } catch (error) {
        await undo(connection);
        throw error;
      }
      await connection.run("commit");
      return result;
    });
  }

  /**
   * Statements that do not depend on each other's results, in one round trip: BEGIN, the
   * actor's settings, what `work` issues before it awaits anything else, and COMMIT.
   */
  pipeline<T>(work: (tx: Tx) => Promise<T>, { durable = true } = {}): Promise<T> {
    return this.#together(work, acting(), durable);
  }

  #together<T>(work: (tx: Tx) => Promise<T>, as: Acting, durable: boolean): Promise<T> {
    return this.#pool.lend(async (connection) => {
      // A microtask later, whoever waited in line or not: what is said of ticks below holds then.
      await Promise.resolve();
      const begun = open(connection, as, durable);
      // A drizzle query runs anew at every then(): one promise, awaited as often as needed.
      const result = Promise.resolve(work(connection.tx));
      // A tick asked for inside a microtask comes after all microtasks: the statements are queued by then.
      const committed = new Promise<void>((resolve) => process.nextTick(resolve)).then(() => connection.run("commit"));
      const settled = await Promise.allSettled([result, begun, committed]);
      const failed = settled.find((one) => one.status === "rejected");
      if (failed) throw failed.reason;
      return await result;
    });
  }

  /**
   * Statements that only read and do not depend on each other's results, or one that changes something, in one round trip, as the acting
   * user or as nobody: row-level security shows nobody no tenant's row. Each sees what is committed when it runs, as in a transaction of the level READ COMMITTED, so
   * they are none: a session of our own keeps the actor of its last look, and BEGIN, COMMIT and most settings are saved. A pooler takes
   * the server away at the first answer outside a transaction, and the second would never come: behind one they are a transaction.
   */
  look<T>(work: (tx: Tx) => Promise<T>, who: "actor" | "nobody" = "actor"): Promise<T> {
    const as = who === "actor" ? acting() : nobody;
    if (this.#pooled) return this.#together(work, as, true);
    return this.#pool.lend(async (connection) => {
      const [shown, result] = await Promise.allSettled([connection.show(as.project, as.admin), work(connection.tx)]);
      if (shown.status === "rejected") throw shown.reason;
      if (result.status === "rejected") throw result.reason;
      return result.value;
    });
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

/** Sends BEGIN and the actor, in one message, without waiting; whoever awaits the work must await this too. */
function open(connection: Connection, { project, admin }: Acting, durable = true) {
  const begun = connection.script(`begin; ${settings("set local", project, admin)}${durable ? "" : "; set local synchronous_commit = off"}`);
  // The rejection itself reaches the caller through the await in begin() and pipeline().
  begun.catch(() => connection.drop());
  return begun;
}

/** What row-level security is told of the actor. */
interface Acting {
  project: string;
  admin: boolean;
}

const nobody: Acting = { project: "", admin: false };

function acting(): Acting {
  const { actor } = ambient();
  return actor.kind === "user" ? { project: actor.projectId, admin: actor.isAdmin } : nobody;
}

async function undo(connection: Connection) {
  try {
    await connection.run("rollback");
  } catch {
    // A lost connection has rolled back by itself; the first error is the one to tell.
  }
}

/** Runs `work` in a transaction; joins the one already open. No network inside. */
export function transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
  const { tx, db, emitted } = ambient();
  if (tx) return work(tx);
  const before = emitted.length;
  return db
    .begin((opened) => within({ tx: opened }, () => work(opened)))
    .catch((error: unknown) => {
      // What was not committed is not sent.
      emitted.length = before;
      throw error;
    });
}

/**
 * A transaction whose statements are all issued at once, COMMIT included, in one round trip: a
 * lock it takes is held no longer than PostgreSQL needs. What `work` finds wrong in an answer comes
 * too late, so every refusal must be an error of a statement. Joins the open transaction. With
 * `durable: false` a crash of the database may undo it: nobody waits for the disk.
 */
export function batch<T>(work: (tx: Tx) => Promise<T>, options: { durable?: boolean } = {}): Promise<T> {
  const { tx, db, emitted } = ambient();
  if (tx) return work(tx);
  const before = emitted.length;
  return db
    .pipeline((opened) => within({ tx: opened }, () => work(opened)), options)
    .catch((error: unknown) => {
      emitted.length = before;
      throw error;
    });
}

/** Reads of tables that belong to no project, in one round trip of nothing but the statements. Joins the open transaction. */
export function common<T>(work: () => Promise<T>): Promise<T> {
  const { tx, db } = ambient();
  return tx ? work() : db.look((opened) => within({ tx: opened }, work), "nobody");
}

/** One statement that reads, or several independent ones issued together, in one round trip. */
export function read<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
  const { tx, db } = ambient();
  return tx ? work(tx) : db.look(work);
}

/** One statement that changes something, a transaction of its own. Joins the open one. */
export const single = <T>(work: (tx: Tx) => Promise<T>): Promise<T> => read(work);

/** The open transaction; for functions that only make sense inside one. */
export function inside(): Tx {
  const { tx } = ambient();
  if (!tx) throw new Error("this must run inside transaction()");
  return tx;
}
