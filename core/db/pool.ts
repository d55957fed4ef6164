import { PgDialect, PgDatabase } from "drizzle-orm/pg-core";
import { drizzle, PostgresJsSession } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import type { DatabaseOptions, Tx } from "#core/db/index";
import { AppError } from "#core/error";

/**
 * The client closes a connection that was idle for so long. One that a function kept while it was frozen
 * may be dead without a word, as what stands between forgets it; such an old one is not taken again.
 */
const IDLE_SECONDS = 60;

/**
 * A connection that one caller has to itself. The driver's own reserve() is not used: when a
 * reserved connection is lost it can hang its caller for good or end the process (postgres 3.4).
 * A client of one connection has neither fault, but connects anew by itself, which inside a
 * transaction would run the rest of it outside: `lost` is what prevents that.
 */
export class Connection {
  readonly tx: Tx;
  readonly #sql: postgres.Sql;
  readonly #prepare: boolean;
  #lost = false;
  /** The settings of the actor that the session stands at, outside transactions. */
  #shown = "";
  #usedAt = Date.now();

  constructor(url: string, { prepare, socketDirectory }: DatabaseOptions, dialect: PgDialect) {
    this.#prepare = prepare;
    const port = new URL(url).port || "5432";
    this.#sql = postgres(url, {
      max: 1,
      prepare,
      // No array type is bound, so the look-up of array types at connect buys nothing.
      fetch_types: false,
      idle_timeout: IDLE_SECONDS,
      connect_timeout: 10,
      onnotice: () => {},
      onclose: () => {
        this.#lost = true;
      },
      ...(socketDirectory && { path: `${socketDirectory}/.s.PGSQL.${port}` }),
    });
    // Called for its effect on the client: timestamps and json stay text, drizzle's columns map them.
    drizzle(this.#sql);
    // drizzle sends every statement through unsafe(), whose default is an unnamed statement that is described
    // first: two round trips, and nothing behind it in the pipeline.
    const client = { unsafe: (text: string, values: never[]) => this.run(text, values) };
    // The constructors are public in drizzle's types; what the session uses of a client is `unsafe`.
    this.tx = new PgDatabase(dialect, new PostgresJsSession(client as never, dialect, undefined, {}) as never, undefined);
  }

  run(text: string, values: (string | null)[] = []) {
    this.#mustLive();
    return this.#sql.unsafe(text, values, { prepare: this.#prepare });
  }

  /** Several statements without parameters as one message (the simple query protocol). */
  script(text: string) {
    this.#mustLive();
    return this.#sql.unsafe(text).simple();
  }

  /** Sees to it that what comes next, outside a transaction, sees as this actor; awaited together with that, as it may fail. */
  async show(project: string, admin: boolean): Promise<void> {
    const wanted = settings("set", project, admin);
    if (wanted === this.#shown) return;
    this.#shown = wanted;
    try {
      await this.script(wanted);
    } catch (error) {
      this.drop();
      throw error;
    }
  }

  #mustLive() {
    this.#usedAt = Date.now();
    if (this.#lost) throw new AppError("serviceUnavailable", "The connection to the state database was lost.", { reason: "database.lost" });
  }

  close(): Promise<void> {
    return this.#sql.end({ timeout: 5 });
  }

  /** Of no more use: the connection was lost, given up, or idle so long that the client is about to close it. */
  get lost() {
    return this.#lost || Date.now() - this.#usedAt > (IDLE_SECONDS - 5) * 1000;
  }

  /** Gives the client up: what is queued in it fails now, instead of each waiting for a connect of its own. */
  drop() {
    this.#lost = true;
    void this.#sql.end({ timeout: 0 });
  }
}

/** Tells the server who acts: what row-level security goes by. */
export const settings = (set: "set" | "set local", project: string, admin: boolean) =>
  `${set} coffer.project_id = ${literal(project)}; ${set} coffer.admin = ${admin ? "on" : "off"}`;

/** A string constant, the same under every setting of the server (PostgreSQL manual 4.1.2.2). */
const literal = (text: string) => `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

/** At most `max` connections, each lent to one caller at a time; who comes when all are lent waits in line. */
export class Pool {
  readonly #make: () => Connection;
  readonly #max: number;
  readonly #all = new Set<Connection>();
  readonly #free: Connection[] = [];
  readonly #line: ((connection: Connection) => void)[] = [];

  constructor(url: string, options: DatabaseOptions) {
    const dialect = new PgDialect();
    this.#make = () => new Connection(url, options, dialect);
    this.#max = options.max;
  }

  async lend<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = await this.#take();
    try {
      return await work(connection);
    } finally {
      const kept = this.#usable(connection);
      const next = this.#line.shift();
      if (next) next(kept ?? this.#add());
      else if (kept) this.#free.push(kept);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((connection) => connection.close()));
  }

  #take(): Connection | Promise<Connection> {
    for (let free = this.#free.pop(); free; free = this.#free.pop()) if (this.#usable(free)) return free;
    if (this.#all.size >= this.#max) return new Promise((resolve) => this.#line.push(resolve));
    return this.#add();
  }

  /** The connection, unless it was lost: idle for long, the server restarted, or in its last caller's hands. */
  #usable(connection: Connection): Connection | undefined {
    if (!connection.lost) return connection;
    this.#all.delete(connection);
    connection.drop();
    return undefined;
  }

  #add(): Connection {
    const made = this.#make();
    this.#all.add(made);
    return made;
  }
}
