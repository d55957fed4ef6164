import { chmod, chown, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock";
import type { Machine } from "#core/engine/engine";
import type { LogArchive } from "#core/engine/physical";
import { asRoot } from "#core/engine/postgresql/cluster";
import { readable } from "#core/engine/postgresql/configuration";
import { place } from "#core/engine/postgresql/files";
import { parseSegment, segmentName, type Segment } from "#core/engine/postgresql/backup/wal";
import { word } from "#core/engine/postgresql/shell";
import type { Layout } from "#core/engine/postgresql/volume";

const lookEveryMs = 20;
/** Segments on the volume besides the one that is replayed. */
const ahead = 3;

/**
 * $1: name, $2: where to. Asks by an empty file in `want`, which is there as long as it waits for `have/<name>`, or for word that there is none.
 * What was taken away before it could be copied comes again. Status 126 ends the recovery: whatever is not known to be absent must not be
 * taken for the end of the archive.
 */
const script = (feed: string) => `feed=${word(feed)}
trap 'rm -f "$feed/want/$1"' EXIT
: > "$feed/want/$1" || exit 126
tries=0
while [ $tries -lt 30000 ]; do
  if [ -e "$feed/have/$1" ]; then
    cp "$feed/have/$1" "$2" && exit 0
    [ -e "$feed/have/$1" ] && exit 126
  fi
  [ -e "$feed/have/$1.absent" ] && exit 1
  [ -e "$feed/have/failed" ] && exit 126
  sleep 0.02
  tries=$((tries + 1))
done
exit 126
`;

/** Names of the segments behind one. */
const behind = ({ timeline, number }: Segment) => Array.from({ length: ahead }, (_, index) => segmentName(timeline, number + BigInt(index + 1)));

/** Archived WAL for a server that replays, segment by segment. The server's user may only write to `want`, where nothing but names is read. */
export class Feed {
  readonly #files: Layout;
  readonly #machine: Machine;
  readonly #archive: LogArchive;
  readonly #clock: Clock;
  readonly #ending = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #failure: { cause: unknown } | undefined;
  /** The last segment that the archive did not have. */
  #end: string | undefined;

  constructor(machine: Machine, files: Layout, archive: LogArchive, clock: Clock) {
    this.#machine = machine;
    this.#files = files;
    this.#archive = archive;
    this.#clock = clock;
  }

  get end(): string | undefined {
    return this.#end;
  }

  async start(): Promise<void> {
    const { feed, restoreScript } = this.#files;
    await this.#clear();
    await mkdir(feed, { mode: 0o711 });
    await chmod(feed, 0o711);
    for (const name of ["want", "have"]) await mkdir(join(feed, name), { mode: 0o700 });
    const { engineUser } = this.#machine;
    if (asRoot() && engineUser) {
      await chown(join(feed, "want"), engineUser.uid, engineUser.gid);
      await chown(join(feed, "have"), 0, engineUser.gid);
      await chmod(join(feed, "have"), 0o750);
    }
    await place(restoreScript, script(feed), readable(this.#machine));
    this.#running = this.#serve();
  }

  /** Ends it; throws what kept it from giving the server what the archive has. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#running;
    await this.#clear();
    if (this.#failure) throw this.#failure.cause;
  }

  async #clear(): Promise<void> {
    await rm(this.#files.feed, { recursive: true, force: true });
  }

  async #serve(): Promise<void> {
    const { signal } = this.#ending;
    const want = join(this.#files.feed, "want");
    let coming: string[] = [];
    while (!signal.aborted) {
      try {
        const asked = (await readdir(want)).filter((name) => /^[0-9A-F]{8}(\.history|[0-9A-F]{16})$/.test(name)).sort();
        for (const name of asked) await this.#fetch(name);
        const segments = asked.flatMap((name) => parseSegment(name) ?? []);
        if (segments[0]) {
          await this.#discard(segments[0].number);
          coming = segments.flatMap(behind);
        }
        const [first] = coming;
        if (first === undefined) await this.#clock.sleep(lookEveryMs, signal);
        else coming = (await this.#fetch(first)) ? coming.slice(1) : [];
      } catch (cause) {
        this.#failure = { cause };
        await writeFile(join(this.#files.feed, "have", "failed"), "").catch(() => {});
        return;
      }
    }
  }

  /** Takes away what lies before a segment. A server that reads ahead can come back to one that it had before. */
  async #discard(before: bigint): Promise<void> {
    const have = join(this.#files.feed, "have");
    for (const name of await readdir(have)) if ((parseSegment(name)?.number ?? before) < before) await rm(join(have, name));
  }

  /** Whether the archive has it. */
  async #fetch(name: string): Promise<boolean> {
    const path = join(this.#files.feed, "have", name);
    const there = await readdir(join(this.#files.feed, "have"));
    if (there.includes(name)) return true;
    const content = there.includes(`${name}.absent`) ? undefined : await this.#archive.piece(name);
    if (content === undefined) {
      if (parseSegment(name)) this.#end = name;
      await writeFile(`${path}.absent`, "");
      return false;
    }
    await writeFile(`${path}.new`, content, { mode: 0o600 });
    const { engineUser } = this.#machine;
    if (asRoot() && engineUser) {
      await chown(`${path}.new`, 0, engineUser.gid);
      await chmod(`${path}.new`, 0o640);
    }
    await rename(`${path}.new`, path);
    return true;
  }
}
