import { chmod, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock";
import { exists } from "#core/driver/local/files";
import { format, mount, released, unmount } from "#core/driver/local/images";

/** What a volume is on this machine: a directory, or a file system of its own in a file. */
export type VolumeForm = "directory" | "image";

/** Where a prepared content goes: into the directory, or as the file of that path. */
export interface Onto {
  form: VolumeForm;
  path: string;
}

/** The smallest volume there is, which every prepared one is at first, GB. */
const SMALLEST_GB = 1;
const FILE = "image";

/** Contents of volumes, prepared before there is a volume for them, each in a directory of its own. */
export class Blanks {
  readonly #clock: Clock;
  /** Valid once the cloud has started. */
  form: VolumeForm = "directory";

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Has `fill` prepare a content; `place` must not exist. A crash leaves what `isComplete` tells from a complete one. */
  async make(place: string, fill: (directory: string) => Promise<void>): Promise<void> {
    await mkdir(place, { mode: 0o711 });
    if (this.form === "directory") return fill(place);
    const [draft, directory] = [join(place, "draft"), join(place, "data")];
    await format(draft, SMALLEST_GB);
    await mkdir(directory, { mode: 0o711 });
    await mount(draft, directory);
    try {
      await chmod(directory, 0o711);
      await fill(directory);
    } finally {
      await unmount(directory, this.#clock, { detach: true });
    }
    await released(draft, this.#clock);
    await rm(directory, { recursive: true });
    await rename(draft, join(place, FILE));
  }

  /** `isFilled` looks at the names in a directory that `fill` may not have finished. */
  async isComplete(place: string, isFilled: (names: string[]) => boolean): Promise<boolean> {
    const names = await readdir(place);
    return this.form === "image" ? names.includes(FILE) : isFilled(names);
  }

  /** Makes the image at `place` the file `target`. */
  async move(place: string, target: string): Promise<void> {
    await rename(join(place, FILE), target);
    await this.discard(place);
  }

  async discard(place: string): Promise<void> {
    if (await exists(join(place, "data"))) await unmount(join(place, "data"), this.#clock, { detach: true });
    await rm(place, { recursive: true, force: true });
  }
}
