import { createHash } from "node:crypto";
import { chmod, chown, lstat, mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError } from "#core/error";

/** Linux allows 107 bytes for a socket's path; an engine's own file name takes up to 25 of them. */
const LONGEST = 75;

/**
 * Where sockets live: `<root>/run`, or where that is too long for a socket's path, a short
 * directory in /run or the temporary directory, whose owner and mode are checked at every use,
 * because anybody may make one of that name there.
 */
export class RunDirectories {
  readonly #base: string;

  constructor(options: { root: string; installation: string; privileged: boolean }) {
    const own = join(options.root, "run");
    const short = `coffer-${createHash("sha256").update(options.installation).digest("hex").slice(0, 8)}`;
    const outside = options.privileged ? join("/run", short) : join(tmpdir(), `${short}-${process.getuid?.() ?? 0}`);
    this.#base = join(own, "12345678").length <= LONGEST ? own : outside;
  }

  path(server: string): string {
    return join(this.#base, createHash("sha256").update(server).digest("hex").slice(0, 8));
  }

  /** Makes the server's directory, owned by its engine. /run is empty after a reboot, so before every start. */
  async make(server: string, uid: number | undefined): Promise<string> {
    const made = await mkdir(this.#base, { recursive: true, mode: 0o711 });
    if (made !== undefined) await chmod(this.#base, 0o711);
    await this.#check();
    const directory = this.path(server);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await chmod(directory, 0o700);
    if (uid !== undefined) await chown(directory, uid, uid);
    return directory;
  }

  async remove(server: string): Promise<void> {
    await rm(this.path(server), { recursive: true, force: true });
  }

  async #check(): Promise<void> {
    const found = await lstat(this.#base);
    if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0) return;
    throw new AppError("serviceUnavailable", `${this.#base} belongs to somebody else.`, {
      reason: "driver.run_directory",
      next: "Remove it, or choose a COFFER_HOME with a shorter path.",
      final: true,
    });
  }
}
