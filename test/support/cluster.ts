import { execFile } from "node:child_process";
import { access, chmod, mkdtemp, rm, stat } from "node:fs/promises";
import { constants } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { hydrate, initCluster, privateDirectory, startServer, stopServer } from "#core/engine/postgresql/cluster";

const run = promisify(execFile);

/** PostgreSQL refuses to run as root; then the server of the tests runs as this user. */
export const serverUser = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;

/** A directory of our own that the server's user can pass through. */
export async function temporary(prefix: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), prefix));
  await chmod(directory, 0o711);
  return directory;
}

/** The programs of one major; copied where another user can reach them if the checkout is private. */
export async function nativeOf(major: string, copyTo: string): Promise<string> {
  const native = resolve("node_modules", `pg${major}`, "native");
  await hydrate(native);
  if (!serverUser || (await openToAll(native))) return native;
  await run("cp", ["-a", native, join(copyTo, `pg${major}`)]);
  return join(copyTo, `pg${major}`);
}

async function openToAll(path: string): Promise<boolean> {
  const { mode } = await stat(path);
  if ((mode & constants.S_IXOTH) === 0) return false;
  return dirname(path) === path || openToAll(dirname(path));
}

/** A real, throwaway server on a Unix socket, with a superuser `owner`. */
export async function startCluster(major = "17") {
  const root = await temporary("coffer-test-");
  const native = await nativeOf(major, root);
  const directory = join(root, "data");
  const socketDirectory = join(root, "s");
  const password = "owner-password";
  await initCluster({ native, directory, superuser: "owner", password, durable: false, ...(serverUser && { as: serverUser }) });
  await privateDirectory(socketDirectory, serverUser);
  await startServer({
    native,
    directory,
    logFile: join(root, "server.log"),
    ...(serverUser && { as: serverUser }),
    options: {
      listen_addresses: "",
      unix_socket_directories: socketDirectory,
      max_connections: "200",
      // A throwaway cluster: nothing in it has to outlive a power cut.
      fsync: "off",
      synchronous_commit: "off",
      full_page_writes: "off",
    },
  });
  await until(() => access(join(socketDirectory, ".s.PGSQL.5432")).then(() => true, () => false), "the test server's socket");
  return {
    root,
    socketDirectory,
    url: (database: string, user = "owner", secret = password) => `postgres://${user}:${secret}@localhost:5432/${database}`,
    async stop() {
      await stopServer(directory, { mode: "immediate" });
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** Awaits a condition, looking every `everyMs`; fails with its name after `timeoutMs`. */
export async function until(condition: () => Promise<boolean> | boolean, what: string, timeoutMs = 20_000, everyMs = 10): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
