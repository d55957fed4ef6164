import { createHash, randomBytes } from "node:crypto";
import { chmod, copyFile, link, lstat, mkdir, readdir, readlink, realpath, rename, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { AppError } from "#core/error";
import { exists, unless } from "#core/driver/local/files";

/** Whether every other user may pass through this directory and all above it. */
export async function reachable(directory: string): Promise<boolean> {
  let at = await realpath(directory);
  for (;;) {
    if (!((await stat(at)).mode & 0o001)) return false;
    const above = dirname(at);
    if (above === at) return true;
    at = above;
  }
}

/**
 * Where engine data lives: `<home>/data`, or `/var/lib/coffer/<installation>` where engines with
 * user ids of their own cannot reach the home (a clone under /root). A place once chosen stays,
 * because the data is there. Nobody's permissions are changed.
 */
export async function pickRoot(where: { home: string; installation: string; privileged: boolean }): Promise<string> {
  const own = join(where.home, "data");
  const outside = join("/var/lib/coffer", where.installation);
  for (const place of [own, outside]) if (await exists(join(place, "volumes"))) return place;
  if (!where.privileged || (await reachable(where.home))) {
    await mkdir(own, { recursive: true, mode: where.privileged ? 0o711 : 0o700 });
    return own;
  }
  await mkdir(outside, { recursive: true, mode: 0o711 });
  if (!(await reachable(outside))) {
    throw new AppError("serviceUnavailable", `Other users can reach neither ${where.home} nor ${outside}.`, {
      reason: "driver.root",
      next: "Give COFFER_HOME a directory that other users can pass through (chmod o+x).",
      final: true,
    });
  }
  return outside;
}

/**
 * An engine's programs where every user can run them: `native` itself, or a copy of it below
 * `root`, made once per content (hard links where possible, so it costs next to nothing).
 * A crash leaves a staging directory, never half a copy.
 */
export async function publishEngine(native: string, root: string): Promise<string> {
  const files = await filesBelow(native);
  if ((await reachable(native)) && files.every((file) => file.link !== undefined || open(file.mode))) return native;
  const content = files.map(({ path, size, mtimeMs, link }) => `${path}\0${size}\0${mtimeMs}\0${link ?? ""}`).join("\n");
  const key = createHash("sha256").update(`${native}\n${content}`).digest("hex").slice(0, 16);
  const shelf = join(root, "engines");
  const place = join(shelf, key);
  if (await exists(place)) return place;
  const draft = join(shelf, `.new-${randomBytes(6).toString("hex")}`);
  await mkdir(draft, { recursive: true, mode: 0o755 });
  try {
    for (const directory of new Set(files.map((file) => dirname(file.path)))) {
      await mkdir(join(draft, directory), { recursive: true, mode: 0o755 });
    }
    for (const file of files) await publishFile(file, join(native, file.path), join(draft, file.path));
    await openDirectories(draft, shelf);
    await rename(draft, place);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another publisher of the same content was faster.
    unless(error, "ENOTEMPTY", "EEXIST");
  }
  return place;
}

interface EngineFile {
  path: string;
  mode: number;
  size: number;
  mtimeMs: number;
  /** Target of a symbolic link. */
  link?: string;
}

/** Readable by others, and by them executable if by its owner. */
const open = (mode: number) => (mode & 0o004) !== 0 && ((mode & 0o100) === 0 || (mode & 0o001) !== 0);

async function filesBelow(directory: string): Promise<EngineFile[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map(async (entry): Promise<EngineFile> => {
      const full = join(entry.parentPath, entry.name);
      const { mode, size, mtimeMs } = await lstat(full);
      const path = relative(directory, full);
      return { path, mode, size, mtimeMs, ...(entry.isSymbolicLink() && { link: await readlink(full) }) };
    });
  return (await Promise.all(files)).sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function publishFile(file: EngineFile, from: string, to: string): Promise<void> {
  if (file.link !== undefined) return symlink(file.link, to);
  if (open(file.mode)) {
    try {
      return await link(from, to);
    } catch (error) {
      // Another file system, or one without hard links.
      unless(error, "EXDEV", "EPERM", "EMLINK", "ENOTSUP");
    }
  }
  await copyFile(from, to);
  await chmod(to, file.mode & 0o100 ? 0o755 : 0o644);
}

/** Whatever the umask: others may pass through our own directories. */
async function openDirectories(draft: string, shelf: string): Promise<void> {
  const entries = await readdir(draft, { recursive: true, withFileTypes: true });
  const below = entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  for (const directory of [shelf, draft, ...below]) await chmod(directory, 0o755);
}
