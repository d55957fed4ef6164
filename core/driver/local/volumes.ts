import { chmod, chown, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Clock } from "#core/clock";
import { check, within } from "#core/driver/call";
import type { Call } from "#core/driver/resource";
import type { Volume, Volumes, VolumeSpec } from "#core/driver/volume";
import { AppError, badRequest, notFound } from "#core/error";
import { failpoint } from "#core/failpoint";
import type { Onto, VolumeForm } from "#core/driver/local/blanks";
import { exists, Turns, type Trash } from "#core/driver/local/files";
import { format, grow, isGrown, isMounted, mount, released, unmount } from "#core/driver/local/images";
import { checkName, Entry, newId, Shelf } from "#core/driver/local/shelf";
import { nextUid, type UidRange } from "#core/driver/local/users";

const VolumeRecord = Entry.extend({
  sizeGb: z.number(),
  /** Owner of the data, uid and gid alike: the engine runs as it. Absent on an installation without own users. */
  uid: z.number().optional(),
  form: z.enum(["directory", "image"]).default("directory"),
});
type VolumeRecord = z.infer<typeof VolumeRecord>;

/**
 * Directories below `<root>/volumes`, each with the data in it: as a directory, whose size is a number that nothing here
 * enforces, or as a file system of that size, mounted while a server has it. A volume keeps its form.
 */
export class LocalVolumes implements Volumes {
  readonly #shelf: Shelf<VolumeRecord>;
  readonly #trash: Trash;
  readonly #clock: Clock;
  readonly #turns = new Turns();
  #users: UidRange | undefined;
  #form: VolumeForm = "directory";
  /** Set by the cloud: which volume ids are held, and by the server of what name. */
  holders: () => Promise<ReadonlyMap<string, string>> = async () => new Map();
  /** Set by the cloud: called when there is something to clear away. */
  discarded: () => void = () => {};
  /** Set by the cloud: takes the server down, has its volume detached, and brings it up again. */
  cycle: (server: string) => Promise<void> = async () => {};

  constructor(options: { root: string; trash: Trash; clock: Clock }) {
    this.#trash = options.trash;
    this.#clock = options.clock;
    this.#shelf = new Shelf({
      directory: join(options.root, "volumes"),
      file: "volume.json",
      schema: VolumeRecord,
      trash: this.#trash,
      // Engines pass through on the way to their own data and cannot look around.
      mode: 0o711,
    });
  }

  /** With `users`, every new volume belongs to a user id of its own. */
  async open(users: UidRange | undefined, form: VolumeForm): Promise<void> {
    this.#users = users;
    this.#form = form;
    await this.#shelf.open();
  }

  /** Nothing removes the volume while `work` runs. */
  hold<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.#turns.take(id, work);
  }

  /** Where the data is, who owns it, and, of an image, where it takes its room from; undefined when there is no such volume. */
  async place(id: string): Promise<{ directory: string; uid?: number; backing?: string } | undefined> {
    const found = await this.#shelf.get(id);
    if (!found) return undefined;
    const { directory, parent } = this.#paths(found);
    return { directory, ...(found.uid !== undefined && { uid: found.uid }), ...(found.form === "image" && { backing: parent }) };
  }

  /**
   * Makes the data accessible at its place, in the size that is due; done already = success. A volume that was never used is
   * given its first content by `prepare`, where that has one. Growing is left for later while it is mounted.
   */
  async attach(id: string, prepare: (onto: Onto) => Promise<boolean> = async () => false): Promise<void> {
    const found = await this.#shelf.get(id);
    if (!found) throw notFound(`There is no volume ${id}.`);
    const { directory, image } = this.#paths(found);
    if (found.form === "directory") {
      if ((await readdir(directory)).length === 0) await prepare({ form: "directory", path: directory });
      return;
    }
    if (isMounted(directory)) return;
    const isNew = !(await exists(image));
    const isPrepared = isNew && (await prepare({ form: "image", path: image }));
    if (isNew && !isPrepared) await format(image, found.sizeGb);
    await failpoint("local.volume.attach");
    await grow(image, found.sizeGb);
    await mount(image, directory);
    if (isNew && !isPrepared) await own(directory, found.uid);
    await failpoint("local.volume.attached");
  }

  /** Takes a file system off the machine again. `byForce`: whoever still works in there shall not keep it; else AppError `volume.busy`. */
  async detach(id: string, { byForce }: { byForce: boolean }): Promise<void> {
    const found = await this.#shelf.get(id);
    if (found?.form !== "image") return;
    const { directory, image } = this.#paths(found);
    await unmount(directory, this.#clock, { detach: byForce });
    if (!byForce) await released(image, this.#clock);
  }

  async create(spec: VolumeSpec, call: Call): Promise<Volume> {
    checkName(spec.name);
    if (!(spec.sizeGb > 0)) throw badRequest("A volume has at least 1 GB.", { final: true });
    // One at a time: the choice of the user id looks at all volumes.
    return this.#turns.call("create", "volume.create", call, async () => {
      const present = await this.#shelf.named(spec.name);
      if (present) return this.#shown(present);
      await failpoint("local.volume.create");
      const uid = this.#users && nextUid(this.#users, await this.#uids());
      const record: VolumeRecord = {
        id: newId(spec.name),
        name: spec.name,
        createdAt: this.#clock.now(),
        sizeGb: spec.sizeGb,
        form: this.#form,
        ...(uid !== undefined && { uid }),
      };
      const made = await this.#shelf.put(record, async (directory) => {
        const data = join(directory, "data");
        await mkdir(data, { mode: 0o700 });
        await own(data, uid);
        await failpoint("local.volume.fill");
      });
      await failpoint("local.volume.created");
      return this.#shown(made);
    });
  }

  async get(id: string, call: Call): Promise<Volume | undefined> {
    check(call, "volume.get");
    const found = await this.#shelf.get(id);
    return found && this.#shown(found);
  }

  async find(name: string, call: Call): Promise<Volume[]> {
    check(call, "volume.find");
    const found = await this.#shelf.named(name);
    return found ? [await this.#shown(found)] : [];
  }

  async list(call: Call): Promise<Volume[]> {
    check(call, "volume.list");
    const [all, holders] = await Promise.all([this.#shelf.list(), this.holders()]);
    return all.map((one) => shown(one, holders));
  }

  remove(id: string, call: Call): Promise<void> {
    return this.#turns.call(id, "volume.remove", call, async () => {
      const found = await this.#shelf.get(id);
      if (!found) return;
      const server = (await this.holders()).get(id);
      if (server) {
        throw new AppError("conflict", `Volume ${found.name} is in use by server ${server}.`, {
          reason: "volume.in_use",
          next: "Remove the server first.",
        });
      }
      await this.detach(id, { byForce: true });
      await failpoint("local.volume.remove");
      await this.#shelf.drop(found.name);
      await failpoint("local.volume.removed");
      this.discarded();
    });
  }

  async resize(id: string, sizeGb: number, call: Call): Promise<Volume> {
    const volume = await this.#turns.call(id, "volume.resize", call, async () => {
      const found = await this.#shelf.get(id);
      if (!found) throw notFound(`There is no volume ${id}.`);
      if (sizeGb < found.sizeGb) {
        throw badRequest(`A volume of ${found.sizeGb} GB cannot shrink to ${sizeGb} GB.`, { reason: "volume.shrink", final: true });
      }
      const grown = { ...found, sizeGb };
      if (sizeGb > found.sizeGb) await this.#shelf.rewrite(grown);
      return this.#shown(grown);
    });
    // Not in the volume's turn: a server that is being made waits for that in its own.
    await within(call, "volume.resize", () => this.#grow(id));
    return volume;
  }

  /** Brings the file system to the size on record, for which its server is down for a moment. One that was never used is made in it. */
  async #grow(id: string): Promise<void> {
    const found = await this.#shelf.get(id);
    if (found?.form !== "image") return;
    const { image } = this.#paths(found);
    if (!(await exists(image)) || (await isGrown(image, found.sizeGb))) return;
    const server = (await this.holders()).get(id);
    if (server) return this.cycle(server);
    await this.detach(id, { byForce: false });
    await grow(image, found.sizeGb);
  }

  #paths(record: VolumeRecord) {
    const parent = this.#shelf.path(record.name);
    return { parent, directory: join(parent, "data"), image: join(parent, "image") };
  }

  async #uids(): Promise<Set<number>> {
    const all = await this.#shelf.list();
    return new Set(all.map((one) => one.uid).filter((uid) => uid !== undefined));
  }

  async #shown(record: VolumeRecord): Promise<Volume> {
    return shown(record, await this.holders());
  }
}

/** Nobody but the engine's user may look in. */
async function own(directory: string, uid: number | undefined): Promise<void> {
  await chmod(directory, 0o700);
  if (uid !== undefined) await chown(directory, uid, uid);
}

const shown = ({ id, name, createdAt, sizeGb }: VolumeRecord, holders: ReadonlyMap<string, string>): Volume => ({
  id,
  name,
  createdAt,
  sizeGb,
  state: holders.has(id) ? "in-use" : "available",
});
