import { createHash } from "node:crypto";
import { chmod, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError } from "#core/error";
import { hydrate, type User } from "#core/engine/postgresql/cluster";
import { mappedUids, pickRoot, publishEngine, uidRange } from "#core/driver/index";
import type { EmbeddedEngine } from "#functions/local/catalogue";

/** Where things are on this machine, and as whom they run. */
export interface Places {
  privileged: boolean;
  /** Data of instances and of the state database. */
  root: string;
  stateSocket: string;
  /** Who the state database runs as, when we may choose. */
  stateUser: User | undefined;
  /** Programs of an engine, executable by every user of this machine. */
  engine: (manager: string, version: string) => string;
}

/** A Unix socket's path may have 107 bytes; PostgreSQL adds its file name. */
const LONGEST_SOCKET_DIRECTORY = 85;

export async function findPlaces(home: string, installation: string, engines: EmbeddedEngine[]): Promise<Places> {
  const privileged = process.getuid?.() === 0;
  const root = await pickRoot({ home, installation, privileged });
  const published = new Map<string, string>();
  for (const { name, native } of engines) {
    await hydrate(native);
    published.set(name, privileged ? await publishEngine(native, root) : native);
  }
  // The last id of the installation's block; instances take theirs from the front.
  const uid = uidRange(installation, await mappedUids()).end - 1;
  return {
    privileged,
    root,
    stateSocket: await socketDirectory(root, installation),
    stateUser: privileged ? { uid, gid: uid } : undefined,
    engine(manager, version) {
      const found = manager === "postgresql" ? published.get(version) : undefined;
      if (!found) throw new AppError("notImplemented", `This machine has no programs for ${manager} ${version}.`, { reason: "engine.missing", final: true });
      return found;
    },
  };
}

async function socketDirectory(root: string, installation: string): Promise<string> {
  const near = join(root, "state", "s");
  if (near.length <= LONGEST_SOCKET_DIRECTORY) return near;
  // Whoever guesses the name first gains nothing: privateDirectory() refuses what is not ours to chmod.
  const name = createHash("sha256").update(`${installation}:${root}`).digest("hex").slice(0, 16);
  const parent = join(tmpdir(), `coffer-${name}`);
  await mkdir(parent, { recursive: true, mode: 0o711 });
  await chmod(parent, 0o711);
  return join(parent, "s");
}
