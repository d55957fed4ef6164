import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { describe } from "#core/error";
import { hydrate, initCluster, privateDirectory, serverPid, startServer, stopServer, type User } from "#core/engine/postgresql/cluster";
import { StartError } from "#functions/node/start-error";

export interface StateOptions {
  native: string;
  /** The cluster's own directory; others may pass through its parent. */
  directory: string;
  socketDirectory: string;
  password: string;
  as?: User;
}

export interface StateServer {
  url(role: string, password: string): string;
  socketDirectory: string;
  stop: () => Promise<void>;
}

const DATABASE = "coffer";
/** A recovery after a crash replays at most this long before we call the directory broken. */
const READY_SECONDS = 60;

/** The control plane's own PostgreSQL: started, or adopted if an earlier process left it running. */
export async function startState({ native, directory, socketDirectory, password, as }: StateOptions): Promise<StateServer> {
  await hydrate(native);
  await mkdir(directory, { recursive: true, mode: 0o711 });
  const data = join(directory, "pgdata");
  const logFile = join(directory, "server.log");
  if (!(await exists(data))) {
    await initCluster({ native, directory: data, superuser: "coffer_owner", password, ...(as && { as }) });
  }
  await privateDirectory(socketDirectory, as);
  if ((await serverPid(data)) === undefined) {
    await startServer({
      native,
      directory: data,
      logFile,
      ...(as && { as }),
      options: {
        listen_addresses: "",
        unix_socket_directories: socketDirectory,
        max_connections: "60",
        shared_buffers: "64MB",
        // Statement parameters are tenants' data; errors name the statement, never what was bound.
        log_parameter_max_length_on_error: "0",
        log_min_error_statement: "panic",
      },
    });
  }
  const url = (role: string, secret: string) => `postgres://${role}:${encodeURIComponent(secret)}@localhost:5432/${DATABASE}`;
  const sql = postgres(url("coffer_owner", password).replace(/\/coffer$/, "/postgres"), {
    path: `${socketDirectory}/.s.PGSQL.5432`,
    max: 1,
    onnotice: () => {},
  });
  try {
    await ready(sql, data, logFile);
    const [found] = await sql`select 1 from pg_database where datname = ${DATABASE}`;
    if (!found) await sql.unsafe(`create database ${DATABASE}`);
  } finally {
    await sql.end({ timeout: 1 });
  }
  return { url, socketDirectory, stop: () => stopServer(data) };
}

async function ready(sql: postgres.Sql, data: string, logFile: string): Promise<void> {
  const until = Date.now() + READY_SECONDS * 1000;
  for (;;) {
    try {
      await sql`select 1`;
      return;
    } catch (error) {
      const code = (error as { code?: string }).code ?? "";
      const died = (await serverPid(data)) === undefined;
      if (code === "28P01") throw new StartError(`The state database at ${data} does not know the password in secrets.json; the two do not belong together.`);
      if (Date.now() > until || (died && Date.now() > until - (READY_SECONDS - 3) * 1000)) {
        throw new StartError(`The state database at ${data} does not start (${describe(error)}); its log is ${logFile}.`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
