import { randomBytes } from "node:crypto";
import { mkdir, readdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Blanks, Onto } from "#core/driver/index";
import { describe } from "#core/error";
import { adoptVolume, prepareVolume } from "#core/engine/postgresql/index";
import type { User } from "#core/engine/postgresql/cluster";
import { log } from "#core/log";
import { DEFAULT_VERSION, type EmbeddedEngine } from "#functions/local/catalogue";
import type { Places } from "#functions/local/places";

export interface PoolOptions {
  directory: string;
  /** How many to keep ready of the default version; of the others one, if any. By default what `roomFor` finds. */
  size: number | undefined;
  versions: EmbeddedEngine[];
  places: Places;
  blanks: Blanks;
}

export interface Pool {
  /** Moves a freshly initialised engine directory onto a new volume, or gives it an image with one; false when none is ready. */
  take: (image: { manager: string; version: string }, onto: Onto, as: User | undefined) => Promise<boolean>;
  /** Begins to make what is missing, one after the other, in the background. */
  fill(): void;
  stop: () => Promise<void>;
}

/** Made first: enough for one person, of every version something. */
const FEW = 3;
/** Enough for a burst: initialising is what costs most of a create. */
const MANY = 20;
/** What one directory takes on the disk, and the share of the free disk that all of them may take. */
const DIRECTORY_BYTES = 40 << 20;
const DISK_SHARE = 0.01;

/** How many directories the disk has room for without anyone noticing. */
async function roomFor(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return Math.max(FEW, Math.min(MANY, Math.floor((bavail * bsize * DISK_SHARE) / DIRECTORY_BYTES)));
}

/** Refilling waits this long after a take, so that it does not compete with the create that took. */
const QUIET_MS = 1500;

/**
 * Initialising takes longer than all the rest of a create. Every directory has been initialised
 * by itself, so each has its own system identifier; none is a copy of another.
 */
export function createPool({ directory, size, versions, places, blanks }: PoolOptions): Pool {
  const ready = new Map<string, string[]>(versions.map(({ name }) => [name, []]));
  let stopped = false;
  let filling: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  const make = async () => {
    await adoptLeftovers();
    await makeUpTo(Math.min(size ?? FEW, FEW));
    await makeUpTo(size ?? (await roomFor(directory)));
  };
  const makeUpTo = async (count: number) => {
    const wanted = (version: string) => (version === DEFAULT_VERSION ? count : Math.min(count, 1));
    for (;;) {
      const version = [...ready].find(([name, list]) => list.length < wanted(name))?.[0];
      if (!version || stopped) return;
      const place = join(directory, version, randomBytes(6).toString("hex"));
      await blanks.make(place, (inside) => prepareVolume({ native: places.engine("postgresql", version), directory: inside, background: true }));
      ready.get(version)?.push(place);
    }
  };
  let looked = false;
  const adoptLeftovers = async () => {
    if (looked) return;
    looked = true;
    for (const [version, list] of ready) {
      await mkdir(join(directory, version), { recursive: true, mode: 0o711 });
      for (const name of await readdir(join(directory, version))) {
        const place = join(directory, version, name);
        // Complete ones are as good as new; the rest is what an interrupted start left.
        if (await blanks.isComplete(place, (names) => names.includes("superuser"))) list.push(place);
        else await blanks.discard(place);
      }
    }
  };
  const fill = () => {
    if (stopped || filling) return;
    filling = make()
      .catch((error: unknown) => log.warn("pool could not be filled", { error: describe(error) }))
      .finally(() => (filling = undefined));
  };

  return {
    fill,
    async take({ manager, version }, onto, as) {
      const place = manager === "postgresql" ? ready.get(version)?.shift() : undefined;
      clearTimeout(timer);
      if (!stopped) timer = setTimeout(fill, QUIET_MS).unref();
      if (!place) return false;
      if (onto.form === "image") await blanks.move(place, onto.path);
      else await adoptVolume({ from: place, directory: onto.path, ...(as && { as }) });
      return true;
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await filling;
    },
  };
}
