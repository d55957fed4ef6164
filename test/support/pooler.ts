import { spawn } from "node:child_process";
import { access, chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { serverUser, until } from "#test/support/cluster";

export interface Pooler {
  /** Where its socket is, with the name PostgreSQL's own would have. */
  socketDirectory: string;
  stop(): Promise<void>;
}

/** Server connections per role and database: more transactions than that wait, as behind a small proxy. */
const POOL = 5;

/**
 * pgbouncer in transaction mode before the test server (Debian's package). A server connection lives for one
 * transaction only, so that the next always comes to another: what a session would keep is lost, and a prepared
 * statement unknown.
 */
export async function startPooler(root: string, serverSockets: string, passwords: Record<string, string>): Promise<Pooler> {
  const [directory, config, users] = ["pooler", "pooler.ini", "pooler.txt"].map((name) => join(root, name)) as [string, string, string];
  await mkdir(directory, { mode: 0o755 });
  if (serverUser) await chown(directory, serverUser.uid, serverUser.gid);
  await writeFile(users, Object.entries(passwords).map(([role, secret]) => `"${role}" "${secret}"\n`).join(""));
  await writeFile(
    config,
    `[databases]
* = host=${serverSockets} port=5432
[pgbouncer]
listen_addr =
listen_port = 5432
unix_socket_dir = ${directory}
pool_mode = transaction
auth_type = scram-sha-256
auth_file = ${users}
default_pool_size = ${POOL}
max_client_conn = 1000
server_lifetime = 0
`,
  );
  let output = "";
  const child = spawn("pgbouncer", [config], { ...serverUser, stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const failed = new Promise<never>((_, fail) => {
    child.once("error", fail);
    child.once("exit", (code) => fail(new Error(`pgbouncer ended with ${code}: ${output.slice(-2000)}`)));
  });
  failed.catch(() => {});
  await Promise.race([until(() => access(join(directory, ".s.PGSQL.5432")).then(() => true, () => false), "pgbouncer's socket"), failed]);
  return {
    socketDirectory: directory,
    async stop() {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGKILL");
      await ended;
    },
  };
}
