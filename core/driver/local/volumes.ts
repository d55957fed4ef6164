import { chown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Clock } from "#core/clock";
import { check } from "#core/driver/call";
import type { Call } from "#core/driver/resource";
import type { Volume, Volumes, VolumeSpec } from "#core/driver/volume";
import { AppError, badRequest, notFound } from "#core/error";
import { failpoint } from "#core/failpoint";
import { Turns, type Trash } from "#core/driver/local/files";
import { checkName, Entry, newId, Shelf } from "#core/driver/local/shelf";
import { nextUid, type UidRange } from "#core/driver/local/users";

const VolumeRecord = Entry.extend({
  sizeGb: z.number(),
  /** Owner of the data, uid and gid alike: the engine runs as it. Absent on an installation without own users. */
  uid: z.number().optional(),
});
type VolumeRecord = z.infer<typeof VolumeRecord>;

/** Directories below `<root>/volumes`. The size is a number to report; nothing here enforces it. */
export class LocalVolumes implements Volumes {
  readonly #shelf: Shelf<VolumeRecord>;
  readonly #trash: Trash;
  readonly #clock: Clock;
  readonly #turns = new Turns();
  #users: UidRange | undefined;
  /** Set by the cloud: which volume ids are held, and by the server of what name. */
  holders: () => Promise<ReadonlyMap<string, string>> = async () => new Map();
  /** Set by the cloud: called when there is something to clear away. */
  discarded: () => void = () => {};

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
  async open(users: UidRange | undefined): Promise<void> {
    this.#users = users;
    await this.#shelf.open();
  }

  /** Nothing removes the volume while `work` runs. */
  hold<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.#turns.take(id, work);
  }

  /** Where the data is and who owns it; undefined when there is no such volume. */
  async place(id: string): Promise<{ directory: string; uid?: number } | undefined> {
    const found = await this.#shelf.get(id);
    if (!found) return undefined;
    return { directory: join(this.#shelf.path(found.name), "data"), ...(found.uid !== undefined && { uid: found.uid }) };
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
        ...(uid !== undefined && { uid }),
      };
      const made = await this.#shelf.put(record, async (directory) => {
        const data = join(directory, "data");
        await mkdir(data, { mode: 0o700 });
        if (uid !== undefined) await chown(data, uid, uid);
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
      await failpoint("local.volume.remove");
      await this.#shelf.drop(found.name);
      await failpoint("local.volume.removed");
      this.discarded();
    });
  }

  resize(id: string, sizeGb: number, call: Call): Promise<Volume> {
    return this.#turns.call(id, "volume.resize", call, async () => {
      const found = await this.#shelf.get(id);
      if (!found) throw notFound(`There is no volume ${id}.`);
      if (sizeGb < found.sizeGb) {
        throw badRequest(`A volume of ${found.sizeGb} GB cannot shrink to ${sizeGb} GB.`, { reason: "volume.shrink", final: true });
      }
      const grown = { ...found, sizeGb };
      if (sizeGb > found.sizeGb) await this.#shelf.rewrite(grown);
      return this.#shown(grown);
    });
  }

  async #uids(): Promise<Set<number>> {
    const all = await this.#shelf.list();
    return new Set(all.map((one) => one.uid).filter((uid) => uid !== undefined));
  }

  async #shown(record: VolumeRecord): Promise<Volume> {
    return shown(record, await this.holders());
  }
}

const shown = ({ id, name, createdAt, sizeGb }: VolumeRecord, holders: ReadonlyMap<string, string>): Volume => ({
  id,
  name,
  createdAt,
  sizeGb,
  state: holders.has(id) ? "in-use" : "available",
});
