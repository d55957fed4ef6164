import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBytes, randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { File } from "#core/archive/manifest";
import { chunksOf } from "#core/archive/object";
import { BackupReader, type Opened } from "#core/archive/reader";
import { BackupWriter, PART_BYTES } from "#core/archive/writer";
import { unpack } from "#core/engine/postgresql/backup/unpack";
import { MemoryPlace, placeOf, sourceOf } from "#test/support/archive";
import { seeded } from "#test/support/random";

type Stored = Opened & { from: MemoryPlace };

const facts = {
  label: "x",
  engine: { name: "postgresql", version: 170010 },
  systemIdentifier: "1",
  timeline: 1,
  startLsn: "0/2000028",
  stopLsn: "0/2000100",
  startedAt: "2030-01-01T00:00:00.000Z",
  stoppedAt: "2030-01-01T00:00:01.000Z",
  pageBytes: 8192,
  parent: null,
  directories: ["base", "base/empty"],
  dataBytes: 0,
};
/** Two and a half parts. */
const sizes = [0, 1, PART_BYTES - 1, 8192 * 3, PART_BYTES + 5, PART_BYTES / 2];
const nameOf = (at: number) => (at % 2 === 0 ? `base/${at}` : `f${at}`);

async function store(key: Buffer = randomBytes(32), place = placeOf(randomUUID()), installation = "i"): Promise<{ stored: Stored; contents: Map<string, Buffer> }> {
  const from = new MemoryPlace();
  const backupId = place.prefix.slice("backups/".length);
  const writer = new BackupWriter(key, { installation, place }, from);
  const contents = new Map<string, Buffer>();
  for (const [at, size] of sizes.entries()) {
    const content = randomBytes(size);
    contents.set(nameOf(at), content);
    for (let done = 0; done < size; done += 1_000_000) await writer.write(content.subarray(done, done + 1_000_000));
    writer.file({ path: nameOf(at), size, mode: 0o600, mtime: 1_900_000_000 } satisfies File);
  }
  const { checksum } = await writer.finish({ ...facts, backupId });
  return { stored: { installation, key, from, backup: { backupId, checksum, place } }, contents };
}

let top: string;
let made: Awaited<ReturnType<typeof store>>;
let other: Stored;
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), "coffer-archive-"));
  made = await store();
  // Another backup of the same project, under the same key: only its name tells it apart.
  other = (await store(made.stored.key)).stored;
});
afterAll(() => rm(top, { recursive: true, force: true }));

const restored = async (opened: Stored) => {
  const directory = await mkdtemp(join(top, "d-"));
  await unpack(directory, await sourceOf({ opened }), () => {});
  return directory;
};

/** The same backup with its objects in a store of their own, to be changed. */
const copy = (): Stored => {
  const from = new MemoryPlace();
  for (const [name, bytes] of made.stored.from.objects) from.objects.set(name, Buffer.from(bytes));
  return { ...made.stored, from };
};

/** That the manifest is what it was is known before it is opened; here whoever corrupts may also write down a new checksum. */
const refused = (opened: Stored) => expect(restored(opened)).rejects.toMatchObject({ reason: "archive.damaged" });

test("what was stored is what is restored", async () => {
  const directory = await restored(made.stored);
  for (const [name, content] of made.contents) expect((await readFile(join(directory, name))).equals(content)).toBe(true);
  expect([...made.stored.from.objects.keys()].sort()).toEqual(["manifest", "part-00000001", "part-00000002", "part-00000003"]);
});

test("nothing of a content is in what is stored, and the same content is never stored the same way twice", async () => {
  const key = randomBytes(32);
  const place = placeOf(randomUUID());
  const from = [new MemoryPlace(), new MemoryPlace()];
  for (const to of from) {
    const writer = new BackupWriter(key, { installation: "i", place }, to);
    await writer.write(Buffer.alloc(100_000, "secret"));
    writer.file({ path: "secret.txt", size: 100_000, mode: 0o600, mtime: 0 });
    await writer.finish({ ...facts, backupId: randomUUID() });
  }
  for (const to of from) for (const bytes of to.objects.values()) expect(bytes.includes("secret")).toBe(false);
  expect(from[0]?.objects.get("part-00000001")?.subarray(40, 80)).not.toEqual(from[1]?.objects.get("part-00000001")?.subarray(40, 80));
});

const seed = process.env["COFFER_TEST_SEED"] ?? "1";
const rounds = Number(process.env["COFFER_CORRUPTIONS"] ?? 4);
const random = seeded(seed);

/** Ways to damage an object of three parts and a manifest; each is told the objects. */
const damages: Record<string, (objects: Map<string, Buffer>, name: string) => void> = {
  "a bit flipped": (objects, name) => {
    const bytes = objects.get(name)!;
    bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  },
  "its end cut off": (objects, name) => objects.set(name, objects.get(name)!.subarray(0, random.below(objects.get(name)!.length))),
  "its last chunk cut off": (objects, name) => objects.set(name, objects.get(name)!.subarray(0, 40 + 262_160 * random.below(Math.ceil(objects.get(name)!.length / 262_160)))),
  "bytes added": (objects, name) => objects.set(name, Buffer.concat([objects.get(name)!, randomBytes(1 + random.below(100))])),
  "been lost": (objects, name) => objects.delete(name),
  "been replaced by that of another backup": (objects, name) => objects.set(name, other.from.objects.get(name)!),
  "changed places with another": (objects, name) => {
    const second = random.pick([...objects.keys()].filter((one) => one !== name));
    const [a, b] = [objects.get(name)!, objects.get(second)!];
    objects.set(name, b).set(second, a);
  },
  "two of its chunks exchanged": (objects, name) => {
    const bytes = objects.get(name)!;
    const chunk = 262_160;
    if (bytes.length < 40 + 2 * chunk) return void (bytes[50]! ^= 1);
    const [a, b] = [Buffer.from(bytes.subarray(40, 40 + chunk)), Buffer.from(bytes.subarray(40 + chunk, 40 + 2 * chunk))];
    b.copy(bytes, 40);
    a.copy(bytes, 40 + chunk);
  },
};

for (const [what, damage] of Object.entries(damages)) {
  for (let round = 0; round < rounds; round++) {
    test(`a backup of which an object has ${what} is refused (seed ${seed}, ${round})`, async () => {
      const opened = copy();
      damage(opened.from.objects, random.pick([...opened.from.objects.keys()]));
      await refused(opened);
    });
  }
}

test("seals alone refuse what checksums would: parts exchanged together with a manifest that says so", async () => {
  const { stored } = made;
  const { head } = await BackupReader.open(stored);
  for (const name of ["part-00000001", "part-00000002"]) {
    const about = { installation: stored.installation, place: stored.backup.place };
    const wrong = stored.from.objects.get(name === "part-00000001" ? "part-00000002" : "part-00000001")!;
    expect(() => [...chunksOf(stored.key, { ...about, name }, wrong)]).toThrow(expect.objectContaining({ reason: "archive.damaged" }));
  }
  expect(head.parts).toHaveLength(3);
});

test("a backup does not open with another key, nor as that of another project, installation, container or backup", async () => {
  const { stored } = made;
  const { place, backupId } = stored.backup;
  await refused({ ...stored, key: randomBytes(32) });
  await refused({ ...stored, installation: "j" });
  await refused({ ...stored, backup: { ...stored.backup, place: { ...place, projectId: "q" } } });
  await refused({ ...stored, backup: { ...stored.backup, place: { ...place, container: "elsewhere" } } });
  await refused({ ...stored, backup: { ...stored.backup, place: placeOf(randomUUID()) } });
  await refused({ ...stored, backup: { ...stored.backup, backupId: randomUUID() } });
  await refused({ ...stored, backup: { ...stored.backup, checksum: "0".repeat(64) } });
  expect(backupId).toBe(place.prefix.slice("backups/".length));
});

test("a manifest that would write outside of the directory is refused", async () => {
  for (const path of ["../x", "/etc/x", "a/../../x", "a//b", "."]) {
    const from = new MemoryPlace();
    const [key, place, backupId] = [randomBytes(32), placeOf(randomUUID()), randomUUID()];
    const writer = new BackupWriter(key, { installation: "i", place }, from);
    writer.file({ path, size: 0, mode: 0o600, mtime: 0 });
    const { checksum } = await writer.finish({ ...facts, backupId });
    await refused({ installation: "i", key, from, backup: { backupId, checksum, place } });
  }
});
